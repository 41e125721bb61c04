/** The phases of one attempt side by side, each with a pattern or colour of its own, and its state below them. */
import { COLOURS } from "../components/facts";
import type { Key } from "../text/en";
import { fill } from "../text/fill";
import { useLanguage, useText } from "../text/language";
import { shownDuration } from "../time";
import { partOf, type Range } from "../run/spans";
import styles from "./Attempts.module.css";
import { sumsOf, type Tried } from "./phases";

interface Props {
  readonly attempt: Tried;
  /** What the bar is as long as. */
  readonly range: Range;
  readonly now: number;
}

export function PhaseBar({ attempt, range, now }: Props) {
  const said = useSaid(attempt, now);
  return (
    <span
      role="img"
      aria-label={said}
      className={styles.phases}
      data-state={attempt.state}
      style={{ borderBottomColor: `var(--mantine-color-${COLOURS[attempt.state] ?? "gray"}-filled)` }}
    >
      {attempt.spans.map(({ phase, start, end }, index) => {
        const part = partOf(start, Math.max(start, end ?? now), range);
        if (!part) return null;
        return (
          <span
            key={index}
            data-phase={phase}
            className={styles[phase]}
            style={{ left: `${part.at * 100}%`, width: `${part.share * 100}%` }}
          />
        );
      })}
    </span>
  );
}

/** What the bar shows, in words. */
function useSaid({ number, state, spans }: Tried, now: number): string {
  const text = useText();
  const { language } = useLanguage();
  const phases = [...sumsOf(spans, now)].map(([phase, sum]) => `${text(phase)} ${shownDuration(sum, language)}`);
  return `${fill(text("attempt"), { number })}, ${text(state as Key)}: ${phases.join(", ")}`;
}
