/** When each task waited and ran, as bars over the time of the run. */
import { useMemo } from "react";

import { COLOURS } from "../components/facts";
import { useLanguage, useText } from "../text/language";
import { shownDuration } from "../time";
import { barOf, extentOf, type Part, type Range } from "./bars";
import { Rows } from "./Rows";
import styles from "./RunPage.module.css";
import type { Seen } from "./seen";
import type { Row } from "./tree";

interface Props {
  readonly rows: readonly Row[];
  readonly chosen: string | undefined;
  readonly choose: (path: string) => void;
  readonly toggle: (path: string) => void;
  readonly now: number;
}

export function Timeline({ rows, chosen, choose, toggle, now }: Props) {
  const text = useText();
  const range = useMemo(() => extentOf(rows.map(({ node }) => node.task), now), [rows, now]);
  return (
    <Rows label={text("timeline")} className={styles.bars} head={null} {...{ rows, chosen, choose, toggle }}>
      {({ node: { task } }) => (
        <>
          <span role="gridcell" className={styles.name}>
            {task.path}
          </span>
          <span role="gridcell" className={styles.track}>
            {range ? <Bars {...{ task, range, now }} /> : null}
          </span>
        </>
      )}
    </Rows>
  );
}

function Bars({ task, range, now }: { task: Seen; range: Range; now: number }) {
  const text = useText();
  const { language } = useLanguage();
  const bar = barOf(task, range, now);
  if (!bar) return null;
  const colour = COLOURS[task.state] ?? "gray";
  const said = [
    bar.waitedMillis > 0 ? `${text("waited")}: ${shownDuration(bar.waitedMillis, language)}` : "",
    task.startedAt === undefined ? "" : `${text("ran")}: ${shownDuration(bar.ranMillis, language)}`,
  ];
  return (
    <span title={said.filter(Boolean).join("\n")}>
      {bar.waits ? <span className={`${styles.bar} ${styles.waits}`} data-part="waits" style={placed(bar.waits)} /> : null}
      {bar.runs ? (
        <span
          className={styles.bar}
          data-part="runs"
          style={{ ...placed(bar.runs), background: `var(--mantine-color-${colour}-filled)` }}
        />
      ) : null}
    </span>
  );
}

const placed = ({ at, share }: Part) => ({ left: `${at * 100}%`, width: `${share * 100}%` });
