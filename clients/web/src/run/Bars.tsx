/**
 * The bars of one task: its attempts with their phases. Where those are not known, and of what has no attempts: hatched
 * while it waited, in the colour of its state while it ran.
 */
import { memo } from "react";

import { AttemptBar } from "../attempts/AttemptBar";
import { isOpen } from "../attempts/phases";
import { useAttempts } from "../attempts/queries";
import { COLOURS } from "../components/facts";
import { useLanguage, useText } from "../text/language";
import { shownDuration } from "../time";
import { barOf, type Part, type Range } from "./spans";
import styles from "./RunPage.module.css";
import type { Seen } from "./seen";

interface Props {
  readonly runId: string;
  readonly task: Seen;
  readonly range: Range;
  readonly now: number;
}

export const Bars = memo(function Bars({ runId, task, range, now }: Props) {
  const known = useAttempts(runId, task).filter(({ spans }) => spans.length > 0);
  if (known.length === 0) return <PlainBar {...{ task, range, now }} />;
  return known.map((attempt) => (
    <AttemptBar key={attempt.number} {...{ attempt, range }} now={isOpen(attempt) ? now : 0} />
  ));
});

function PlainBar({ task, range, now }: Omit<Props, "runId">) {
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
    <span title={said.filter(Boolean).join("\n")} data-bar>
      {bar.waits ? (
        <span className={`${styles.bar} ${styles.waits}`} style={placed(bar.waits)} />
      ) : null}
      {bar.runs ? (
        <span
          className={styles.bar}
          style={{ ...placed(bar.runs), background: `var(--mantine-color-${colour}-filled)` }}
        />
      ) : null}
    </span>
  );
}

const placed = ({ at, share }: Part) => ({ left: `${at * 100}%`, width: `${share * 100}%` });
