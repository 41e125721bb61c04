/** The tasks as rows with their state, duration and start. */
import { ActionIcon, Text } from "@mantine/core";
import { memo } from "react";

import { Duration, State, Time } from "../components/facts";
import { useText } from "../text/language";
import { lasted } from "../time";
import { Rows } from "./Rows";
import styles from "./RunPage.module.css";
import { shownName } from "./seen";
import type { Node, Row } from "./tree";

const INDENT = 20;

interface Props {
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly now: number;
  readonly marked: ReadonlySet<string>;
}

export function TaskTable({ rows, chosen, choose, toggle, now, marked }: Props) {
  const text = useText();
  const head = (["task", "state", "kind", "duration", "started"] as const).map((key) => (
    <Text key={key} component="span" size="sm" fw={700} className={styles[key] ?? ""}>
      {text(key)}
    </Text>
  ));
  return (
    <Rows label={text("tasks")} {...{ rows, chosen, choose, toggle, head, marked }}>
      {({ node, depth, open }) => (
        // A row of a task that has ended is not made anew each second.
        <Cells {...{ node, depth, open, toggle }} now={node.task.finishedAt ?? now} />
      )}
    </Rows>
  );
}

interface CellsProps {
  readonly node: Node;
  readonly depth: number;
  readonly open: boolean;
  readonly toggle: (path: string) => void;
  readonly now: number;
}

const Cells = memo(function Cells({ node: { task, counts }, depth, open, toggle, now }: CellsProps) {
  const text = useText();
  return (
    <>
      <span role="gridcell" className={styles.name} style={{ paddingInlineStart: depth * INDENT }}>
        {counts.size > 0 ? (
          <ActionIcon
            variant="subtle"
            size="sm"
            tabIndex={-1}
            aria-label={text(open ? "fold" : "unfold")}
            aria-expanded={open}
            onClick={(event) => {
              event.stopPropagation();
              toggle(task.path);
            }}
          >
            {open ? "▾" : "▸"}
          </ActionIcon>
        ) : null}{" "}
        {shownName(task)}
      </span>
      <span role="gridcell">
        <State state={task.state} />
      </span>
      <span role="gridcell" className={styles.kind}>
        {task.kind}
      </span>
      <span role="gridcell" className={styles.duration}>
        <Duration of={lasted(task.startedAt, task.finishedAt, now)} />
      </span>
      <span role="gridcell" className={styles.started}>
        <Time at={task.startedAt} />
      </span>
    </>
  );
});
