/** The tasks as rows; only those in sight are in the page. */
import { ActionIcon, Text } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";

import { Duration, State, Time } from "../components/facts";
import { useText } from "../text/language";
import { lasted, millis } from "../time";
import styles from "./RunPage.module.css";
import { isOpen, type Row } from "./tree";

export const ROW_HEIGHT = 36;
const INDENT = 20;

interface Props {
  readonly rows: readonly Row[];
  readonly toggled: ReadonlySet<string>;
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly now: number;
}

export function TaskTable({ rows, toggled, chosen, choose, toggle, now }: Props) {
  const text = useText();
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });
  return (
    <div ref={scroll} className={styles.scroll}>
      <div role="presentation" className={`${styles.row} ${styles.head}`}>
        {(["task", "state", "kind", "duration", "started"] as const).map((key) => (
          <Text key={key} component="span" size="sm" fw={700}>
            {text(key)}
          </Text>
        ))}
      </div>
      <div role="grid" aria-rowcount={rows.length} className={styles.rows} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (!row) return null;
          const { task, children } = row.node;
          const open = isOpen(task, toggled);
          const began = millis(task.startedAt);
          return (
            <div
              key={task.path}
              role="row"
              tabIndex={0}
              aria-rowindex={index + 1}
              aria-selected={task.path === chosen}
              className={styles.row}
              style={{ transform: `translateY(${start}px)` }}
              onClick={() => choose(task.path)}
              onKeyDown={(event) => event.key === "Enter" && choose(task.path)}
            >
              <span role="gridcell" className={styles.name} style={{ paddingInlineStart: row.depth * INDENT }}>
                {children.length > 0 ? (
                  <ActionIcon
                    variant="subtle"
                    size="sm"
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
                {task.displayName || task.name}
                {task.kind === "iteration" ? ` [${task.iterationIndex ?? ""}]` : ""}
              </span>
              <span role="gridcell">
                <State state={task.state} />
              </span>
              <Text role="gridcell" size="sm" c="dimmed">
                {task.kind}
              </Text>
              <span role="gridcell">
                <Duration of={lasted(began, millis(task.finishedAt), now)} />
              </span>
              <span role="gridcell">
                <Time at={began} />
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}
