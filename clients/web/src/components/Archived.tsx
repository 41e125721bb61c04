/** Says that something is archived, wherever it stands among what is not. */
import { Badge } from "@mantine/core";

import { useText } from "../text/language";

export function Archived() {
  const text = useText();
  return (
    <Badge variant="default" miw="max-content">
      {text("archived")}
    </Badge>
  );
}
