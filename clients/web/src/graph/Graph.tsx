/** A graph of cards, wherever the UI draws one: of a run, of a pipeline, of what was made from what. */
import { useComputedColorScheme } from "@mantine/core";
import { Controls, ReactFlow, type NodeChange } from "@xyflow/react";
import type { ReactNode } from "react";

import { Card, type CardFacts, type CardNode } from "./Card";
import styles from "./Graph.module.css";
import { idOf, type Layout } from "./layout";

interface Props {
  readonly layout: Layout;
  /** What a card says; none for one that is not there any more. */
  readonly card: (id: string) => CardFacts | undefined;
  readonly sideways?: boolean;
  /** Whether the wheel moves the page on which the graph is, instead of the graph. */
  readonly inPage?: boolean;
  readonly chosen?: string | undefined;
  /** By a click, or with the keyboard. */
  readonly choose?: (id: string) => void;
  readonly openFurther?: (id: string) => void;
  readonly children?: ReactNode;
}

export function Graph({ layout, card, sideways = false, inPage = false, chosen, choose, openFurther, children }: Props) {
  const scheme = useComputedColorScheme("light");
  const nodes = layout.cards.flatMap(({ id, parent, x, y, width, height }): CardNode[] => {
    const facts = card(id);
    if (!facts) return [];
    const place = { position: { x, y }, width, height, ...(parent === "" ? {} : { parentId: parent }) };
    return [{ id, type: "card", ...place, selected: id === chosen, data: { facts, sideways } }];
  });
  const edges = layout.edges.map(({ from, to }) => {
    const marked = card(from)?.marked && card(to)?.marked;
    return { id: idOf({ from, to }), source: from, target: to, className: (marked && styles.marked) || "" };
  });
  const change = (changes: NodeChange<CardNode>[]) => {
    const found = changes.find((one) => one.type === "select" && one.selected);
    if (found?.type === "select") choose?.(found.id);
  };
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      colorMode={scheme}
      nodesDraggable={false}
      nodesConnectable={false}
      edgesFocusable={false}
      elementsSelectable={choose !== undefined}
      onlyRenderVisibleElements
      preventScrolling={!inPage}
      minZoom={0.05}
      maxZoom={inPage ? 1.5 : 2}
      // It would keep the double click from the cards.
      zoomOnDoubleClick={false}
      fitView
      fitViewOptions={{ maxZoom: 1 }}
      onNodesChange={change}
      onNodeDoubleClick={(_, { id }) => openFurther?.(id)}
    >
      <Controls showInteractive={false} />
      {children}
    </ReactFlow>
  );
}

const NODE_TYPES = { card: Card };
