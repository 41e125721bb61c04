/** The second line of a card: how a task ended and in which run, or of what type an artifact is. */
import { Text } from "@mantine/core";

import { State } from "../components/facts";
import { useText } from "../text/language";
import type { Node } from "./graph";

export function CardLine({ node }: { node: Node }) {
  const text = useText();
  const more = node.found.more ? <abbr title={text("thereIsMore")}> +</abbr> : null;
  if (node.kind === "task") {
    return (
      <>
        <State state={node.found.state} />{" "}
        <Text span size="xs" c="dimmed">
          <bdi>{node.found.runDisplayName}</bdi>
        </Text>
        {more}
      </>
    );
  }
  const { artifact } = node.found;
  return (
    <Text span size="xs" c="dimmed">
      {artifact?.runId ? artifact.type : text("makerDeleted")}
      {more}
    </Text>
  );
}
