/** Says how the page hears of changes, when that is not as it should be. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Alert, Loader, Text } from "@mantine/core";

import { Failure } from "../components/facts";
import { reason } from "../server";
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
      {/* Such as that so many streams are open already. */}
      {ConnectError.from(error).code === Code.ResourceExhausted ? <Text size="sm">{reason(error)}</Text> : null}
    </Alert>
  );
}
