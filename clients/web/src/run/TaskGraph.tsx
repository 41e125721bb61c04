/** The tasks as a graph: who waits for whom, groups around their tasks, a loop as one node that counts iterations. */
import { Text, useComputedColorScheme } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Controls, Handle, Position, ReactFlow, type Node as FlowNode, type NodeProps } from "@xyflow/react";
import { useMemo } from "react";

import { Failure, Loading, State } from "../components/facts";
import { useText } from "../text/language";
import type { Key } from "../text/en";
import { layoutOf } from "./layout";
import { useDocument } from "./queries";
import styles from "./RunPage.module.css";
import { shownName } from "./seen";
import { isOpen, type Node } from "./tree";

interface Props {
  readonly run: Run;
  readonly tree: readonly Node[];
  readonly toggled: ReadonlySet<string>;
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly marked: ReadonlySet<string>;
}

// What ELK places within seconds.
const MOST_NODES = 1_000;

type TaskNode = FlowNode<{ node: Node; critical: boolean }, "task">;

export function TaskGraph({ run, tree, toggled, chosen, choose, toggle, marked }: Props) {
  const text = useText();
  const scheme = useComputedColorScheme("light");
  const document = useDocument(run);
  // Places depend on which nodes there are; states change in between, and are put on the nodes afterwards.
  const drawn = useMemo(() => shownIn(tree, toggled), [tree, toggled]);
  const tooMany = drawn.length > MOST_NODES;
  const shape = useMemo(() => (tooMany ? "" : drawn.map(({ task }) => task.path).join("\n")), [drawn, tooMany]);
  const layout = useQuery({
    queryKey: ["layout", run.runId, shape, [...toggled]],
    queryFn: () => layoutOf(document.data ?? {}, tree, toggled),
    enabled: document.data !== undefined && !tooMany,
    staleTime: Infinity,
    gcTime: 0,
    placeholderData: keepPreviousData,
  });
  const latest = useMemo(() => new Map(drawn.map((node) => [node.task.path, node])), [drawn]);
  const error = document.error ?? layout.error;
  if (error) return <Failure error={error} />;
  if (tooMany) return <Text>{text("tooManyNodes")}</Text>;
  if (!layout.data) return <Loading />;
  const nodes = layout.data.nodes.map(
    ({ node, parent, x, y, width, height }): TaskNode => ({
      id: node.task.path,
      type: "task",
      position: { x, y },
      width,
      height,
      selected: node.task.path === chosen,
      data: { node: latest.get(node.task.path) ?? node, critical: marked.has(node.task.path) },
      ...(parent === "" ? {} : { parentId: parent }),
    }),
  );
  const edges = layout.data.edges.map(({ from, to }) => ({
    id: `${from} ${to}`,
    source: from,
    target: to,
    className: (marked.has(from) && marked.has(to) && styles.critical) || "",
  }));
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      colorMode={scheme}
      nodesDraggable={false}
      nodesConnectable={false}
      onlyRenderVisibleElements
      minZoom={0.05}
      fitView
      fitViewOptions={{ maxZoom: 1 }}
      onNodeClick={(_, { id }) => choose(id)}
      onNodeDoubleClick={(_, { id }) => latest.get(id)?.task.kind !== "loop" && toggle(id)}
    >
      <Controls showInteractive={false} />
    </ReactFlow>
  );
}

function TaskCard({ data: { node, critical }, selected }: NodeProps<TaskNode>) {
  const text = useText();
  const { task, children, counts } = node;
  return (
    <div
      className={`${styles.card} ${children.length > 0 ? styles.group : ""}`}
      aria-current={selected}
      data-critical={critical || undefined}
      title={critical ? text("criticalPath") : undefined}
    >
      <Handle type="target" position={Position.Top} />
      <Text size="sm" className={styles.name}>
        {shownName(task)}
      </Text>
      <span>
        <State state={task.state} />{" "}
        {task.kind === "loop"
          ? [...counts].map(([state, count]) => `${count} × ${text(state as Key)}`).join(", ")
          : null}
      </span>
      <Handle type="source" position={Position.Bottom} />
    </div>
  );
}

const NODE_TYPES = { task: TaskCard };

/** Without what is folded away or inside of loops, which the graph does not show. */
function shownIn(nodes: readonly Node[], toggled: ReadonlySet<string>, found: Node[] = []): Node[] {
  for (const node of nodes) {
    found.push(node);
    if (node.task.kind !== "loop" && isOpen(node.task, toggled)) shownIn(node.children, toggled, found);
  }
  return found;
}
