/** The tasks of a version as a graph: who waits for whom, with groups and loops around their tasks. */
import { Text } from "@mantine/core";
import type { JsonObject } from "@bufbuild/protobuf";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { Failure, Loading } from "../components/facts";
import type { CardFacts } from "../graph/Card";
import { Graph } from "../graph/Graph";
import { layoutOf } from "../graph/layout";
import { groupOf } from "../run/edges";
import { nodeAt } from "../run/tree";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { documentTree } from "./tree";

const NONE: ReadonlySet<string> = new Set();

/** `id` is that of the version, whose document never changes. */
export function VersionGraph({ id, document }: { id: string; document: JsonObject }) {
  const text = useText();
  const tree = useMemo(() => documentTree(document), [document]);
  const layout = useQuery({
    queryKey: ["layout of a version", id],
    queryFn: () => layoutOf(groupOf(document, tree.nodes, NONE)),
    staleTime: Infinity,
    gcTime: 0,
  });
  if (tree.nodes.length === 0) return <Text c="dimmed">{text("emptyGraph")}</Text>;
  if (layout.error) return <Failure error={layout.error} />;
  if (!layout.data) return <Loading />;
  const card = (path: string): CardFacts | undefined => {
    const node = nodeAt(tree.nodes, path);
    if (!node) return undefined;
    const { task, children } = node;
    const facts = [task.kind && text(task.kind as Key), tree.conditions.get(path)].filter(Boolean).join(" · ");
    const below = (
      <Text span size="xs" c="dimmed">
        {facts}
      </Text>
    );
    return { title: task.name, below, hint: `${path}\n${facts}`, kind: children.length > 0 ? "group" : undefined };
  };
  return <Graph layout={layout.data} card={card} inPage />;
}
