/** Says how the page hears of changes, when that is not as it should be. */
import { Alert, Loader, Text } from "@mantine/core";

import { Failure } from "../components/facts";
import { useText } from "../text/language";
import type { Watched } from "./watch";

export function LinkNote({ link, error }: Pick<Watched, "link" | "error">) {
  const text = useText();
  if (link === "failed") return <Failure error={error} />;
  if (link !== "lost") return null;
  return (
    <Alert
      color="yellow"
      role="status"
      data-link={link}
      icon={<Loader size="xs" color="yellow" />}
    >
      <Text fw={700} size="sm">
        {text("lost")}
      </Text>
      {text("lostMeans")}
    </Alert>
  );
}
