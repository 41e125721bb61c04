/** A card of a graph: two lines, and for a group the frame around its cards. */
import { Text } from "@mantine/core";
import { Handle, Position, type Node, type NodeProps } from "@xyflow/react";
import type { ReactNode } from "react";

import styles from "./Graph.module.css";

export interface CardFacts {
  readonly title: string;
  readonly below: ReactNode;
  /** All of it, under the pointer. */
  readonly hint: string;
  readonly kind?: "group" | "thing" | undefined;
  /** It stands out, as does an edge between two such. */
  readonly marked?: boolean;
}

export type CardNode = Node<{ facts: CardFacts; sideways: boolean }, "card">;

export function Card({ data: { facts, sideways }, selected }: NodeProps<CardNode>) {
  const kind = facts.kind ? styles[facts.kind] : "";
  return (
    <div
      className={`${styles.card} ${kind}`}
      aria-current={selected}
      data-critical={facts.marked || undefined}
      title={facts.hint}
    >
      <Handle type="target" position={sideways ? Position.Left : Position.Top} />
      <Text size="sm">
        <bdi>{facts.title}</bdi>
      </Text>
      <span>{facts.below}</span>
      <Handle type="source" position={sideways ? Position.Right : Position.Bottom} />
    </div>
  );
}
