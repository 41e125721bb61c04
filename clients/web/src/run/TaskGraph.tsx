/** The tasks as a graph: who waits for whom, groups around their tasks, a loop as one node that counts iterations. */
import { Text } from "@mantine/core";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { Failure, Loading, State } from "../components/facts";
import type { CardFacts } from "../graph/Card";
import { Graph } from "../graph/Graph";
import { layoutOf, MOST_CARDS } from "../graph/layout";
import { useText } from "../text/language";
import type { Key } from "../text/en";
import { groupOf } from "./edges";
import { useDocument } from "./queries";
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

export function TaskGraph({ run, tree, toggled, chosen, choose, toggle, marked }: Props) {
  const text = useText();
  const document = useDocument(run);
  // Places depend on which nodes there are; states change in between, and are put on the cards afterwards.
  const drawn = useMemo(() => shownIn(tree, toggled), [tree, toggled]);
  const tooMany = drawn.length > MOST_CARDS;
  const shape = useMemo(() => (tooMany ? "" : drawn.map(({ task }) => task.path).join("\n")), [drawn, tooMany]);
  const layout = useQuery({
    queryKey: ["layout", run.runId, shape, [...toggled]],
    queryFn: () => layoutOf(groupOf(document.data ?? {}, tree, toggled)),
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
  const card = (path: string): CardFacts | undefined => {
    const node = latest.get(path);
    if (!node) return undefined;
    const facts = factsOf(node, text);
    if (!marked.has(path)) return { ...facts, below: <Below node={node} /> };
    return { ...facts, hint: `${facts.hint}\n${text("criticalPath")}`, marked: true, below: <Below node={node} /> };
  };
  const openFurther = (path: string) => {
    if (latest.get(path)?.task.kind !== "loop") toggle(path);
  };
  return <Graph layout={layout.data} {...{ card, chosen, choose, openFurther }} />;
}

function factsOf({ task, children }: Node, text: (key: Key) => string): Omit<CardFacts, "below"> {
  const kind = children.length > 0 ? "group" : undefined;
  return { title: shownName(task), hint: `${task.path}\n${text(task.state as Key)}`, kind };
}

function Below({ node: { task, counts } }: { node: Node }) {
  const text = useText();
  return (
    <>
      <State state={task.state} />{" "}
      {task.kind === "loop" ? [...counts].map(([state, count]) => `${count} × ${text(state as Key)}`).join(", ") : null}
    </>
  );
}

/** Without what is folded away or inside of loops, which the graph does not show. */
function shownIn(nodes: readonly Node[], toggled: ReadonlySet<string>, found: Node[] = []): Node[] {
  for (const node of nodes) {
    found.push(node);
    if (node.task.kind !== "loop" && isOpen(node.task, toggled)) shownIn(node.children, toggled, found);
  }
  return found;
}
