/** When each task ran, as bars over the time of the run. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";

import { COLOURS } from "../components/facts";
import { useLanguage } from "../text/language";
import { shownDuration } from "../time";
import { barsOf } from "./bars";
import styles from "./RunPage.module.css";
import { ROW_HEIGHT } from "./TaskTable";
import type { Row } from "./tree";

interface Props {
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly now: number;
}

export function Timeline({ rows, chosen, choose, now }: Props) {
  const { language } = useLanguage();
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });
  const bars = barsOf(rows.map(({ node }) => node.task), now);
  return (
    <div ref={scroll} className={styles.scroll}>
      <div role="grid" className={styles.rows} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const task = rows[index]?.node.task;
          const bar = bars[index];
          if (!task) return null;
          return (
            <div
              key={task.path}
              role="row"
              tabIndex={0}
              aria-selected={task.path === chosen}
              className={`${styles.row} ${styles.bars}`}
              style={{ transform: `translateY(${start}px)` }}
              onClick={() => choose(task.path)}
              onKeyDown={(event) => event.key === "Enter" && choose(task.path)}
            >
              <span role="gridcell" className={styles.name}>
                {task.path}
              </span>
              <span role="gridcell" className={styles.track}>
                {bar ? (
                  <span
                    className={styles.bar}
                    title={shownDuration(bar.millis, language)}
                    style={{
                      left: `${bar.from * 100}%`,
                      width: `${bar.share * 100}%`,
                      background: `var(--mantine-color-${COLOURS[task.state] ?? "gray"}-filled)`,
                    }}
                  />
                ) : null}
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}
