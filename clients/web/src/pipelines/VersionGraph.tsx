/** The tasks of a version as a graph: who waits for whom, with groups and loops around their tasks. */
import { Text, useComputedColorScheme } from "@mantine/core";
import type { JsonObject } from "@bufbuild/protobuf";
import { useQuery } from "@tanstack/react-query";
import { Controls, Handle, Position, ReactFlow, type Node as FlowNode, type NodeProps } from "@xyflow/react";
import { useMemo } from "react";

import { Failure, Loading } from "../components/facts";
import { layoutOf } from "../run/layout";
import card from "../run/RunPage.module.css";
import type { Node } from "../run/tree";
import type { Key } from "../text/en";
import { useText } from "../text/language";
import { documentTree } from "./tree";

type TaskNode = FlowNode<{ node: Node; condition: string }, "task">;

const NONE: ReadonlySet<string> = new Set();

/** `id` is that of the version, whose document never changes. */
export function VersionGraph({ id, document }: { id: string; document: JsonObject }) {
  const text = useText();
  const scheme = useComputedColorScheme("light");
  const tree = useMemo(() => documentTree(document), [document]);
  const layout = useQuery({
    queryKey: ["layout of a version", id],
    queryFn: () => layoutOf(document, tree.nodes, NONE),
    staleTime: Infinity,
    gcTime: 0,
  });
  if (tree.nodes.length === 0) return <Text c="dimmed">{text("emptyGraph")}</Text>;
  if (layout.error) return <Failure error={layout.error} />;
  if (!layout.data) return <Loading />;
  const nodes = layout.data.nodes.map(
    ({ node, parent, x, y, width, height }): TaskNode => ({
      id: node.task.path,
      type: "task",
      position: { x, y },
      width,
      height,
      data: { node, condition: tree.conditions.get(node.task.path) ?? "" },
      ...(parent === "" ? {} : { parentId: parent }),
    }),
  );
  const edges = layout.data.edges.map(({ from, to }) => ({ id: `${from} ${to}`, source: from, target: to }));
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      colorMode={scheme}
      nodesDraggable={false}
      nodesConnectable={false}
      elementsSelectable={false}
      onlyRenderVisibleElements
      preventScrolling={false}
      minZoom={0.05}
      maxZoom={1.5}
      fitView
      fitViewOptions={{ maxZoom: 1 }}
    >
      <Controls showInteractive={false} />
    </ReactFlow>
  );
}

function TaskCard({ data: { node, condition } }: NodeProps<TaskNode>) {
  const text = useText();
  const { task, children } = node;
  const facts = [...(task.kind ? [text(task.kind as Key)] : []), ...(condition ? [condition] : [])].join(" · ");
  return (
    <div className={`${card.card} ${children.length > 0 ? card.group : ""}`} title={`${task.path}\n${facts}`}>
      <Handle type="target" position={Position.Top} />
      <Text size="sm" className={card.name}>
        {task.name}
      </Text>
      <Text size="xs" c="dimmed" className={card.name}>
        {facts}
      </Text>
      <Handle type="source" position={Position.Bottom} />
    </div>
  );
}

const NODE_TYPES = { task: TaskCard };
