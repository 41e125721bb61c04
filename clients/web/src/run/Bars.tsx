/** The bars of one task: hatched while it waited, in the colour of its state while it ran. */
import { memo } from "react";

import { COLOURS } from "../components/facts";
import { useLanguage, useText } from "../text/language";
import { shownDuration } from "../time";
import { barOf, type Part, type Range } from "./spans";
import styles from "./RunPage.module.css";
import type { Seen } from "./seen";

export const Bars = memo(function Bars({ task, range, now }: { task: Seen; range: Range; now: number }) {
  const text = useText();
  const { language } = useLanguage();
  const bar = barOf(task, range, now);
  if (!bar || !(bar.waits ?? bar.runs)) return null;
  const colour = COLOURS[task.state] ?? "gray";
  const said = [
    bar.waitedMillis > 0 ? `${text("waited")}: ${shownDuration(bar.waitedMillis, language)}` : "",
    task.startedAt === undefined ? "" : `${text("ran")}: ${shownDuration(bar.ranMillis, language)}`,
  ];
  return (
    <span title={said.filter(Boolean).join("\n")}>
      {bar.waits ? (
        <span className={`${styles.bar} ${styles.waits}`} data-part="waits" style={placed(bar.waits)} />
      ) : null}
      {bar.runs ? (
        <span
          className={styles.bar}
          data-part="runs"
          style={{ ...placed(bar.runs), background: `var(--mantine-color-${colour}-filled)` }}
        />
      ) : null}
    </span>
  );
});

const placed = ({ at, share }: Part) => ({ left: `${at * 100}%`, width: `${share * 100}%` });
