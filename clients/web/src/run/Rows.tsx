/**
 * The tasks that are not folded away, one below the other; only those in sight are in the page.
 *
 * The list has the focus, not a row, so that it is not lost when its row is scrolled away: `aria-activedescendant` says
 * which row is meant.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useId, useRef, type ReactNode } from "react";

import { useText } from "../text/language";
import styles from "./RunPage.module.css";
import { useActiveRow } from "./useActiveRow";
import type { Row } from "./tree";

export const ROW_HEIGHT = 36;

interface Props {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly head: ReactNode;
  /** What all rows are before; its cells are as high as they together. */
  readonly behind?: ReactNode;
  readonly className?: string | undefined;
  /** Paths of tasks of the critical path. */
  readonly marked: ReadonlySet<string>;
  /** The cells of a row. */
  readonly children: (row: Row) => ReactNode;
}

export function Rows({ label, rows, chosen, choose, toggle, head, behind, className = "", marked, children }: Props) {
  const text = useText();
  const scroll = useRef<HTMLDivElement>(null);
  const id = useId();
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
    // The head is above the rows, and stays in sight.
    scrollMargin: ROW_HEIGHT,
    scrollPaddingStart: ROW_HEIGHT,
  });
  const { active, activate } = useActiveRow({ rows, chosen, choose, toggle }, (index) => {
    virtual.scrollToIndex(index);
    scroll.current?.focus({ preventScroll: true });
  });
  return (
    <div
      ref={scroll}
      role="treegrid"
      aria-label={label}
      aria-rowcount={rows.length}
      aria-activedescendant={rows.length > 0 ? `${id}${active}` : undefined}
      tabIndex={0}
      className={styles.scroll}
    >
      <div role="presentation" className={`${styles.row} ${styles.head} ${className}`}>
        {head}
      </div>
      <div role="rowgroup" className={styles.rows} style={{ height: virtual.getTotalSize() }}>
        {behind ? (
          <div role="presentation" className={`${styles.row} ${styles.behind} ${className}`}>
            {behind}
          </div>
        ) : null}
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (!row) return null;
          const { task, counts } = row.node;
          return (
            <div
              key={task.path}
              id={`${id}${index}`}
              role="row"
              aria-rowindex={index + 1}
              aria-level={row.depth + 1}
              aria-expanded={counts.size > 0 ? row.open : undefined}
              aria-selected={task.path === chosen}
              aria-description={marked.has(task.path) ? text("criticalPath") : undefined}
              data-active={index === active || undefined}
              data-critical={marked.has(task.path) || undefined}
              className={`${styles.row} ${className}`}
              style={{ transform: `translateY(${start - ROW_HEIGHT}px)` }}
              onClick={() => {
                activate(index);
                choose(task.path);
              }}
            >
              {children(row)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
