/** The phases of an attempt, when each began and how long it lasted. */
import { Duration, Time } from "../components/facts";
import { useText } from "../text/language";
import styles from "./Attempts.module.css";
import type { Span } from "./phases";

export function PhaseList({ spans, now }: { readonly spans: readonly Span[]; readonly now: number }) {
  const text = useText();
  return (
    <ul className={styles.list}>
      {spans.map(({ phase, start, end }, index) => (
        <li key={index}>
          <span aria-hidden className={`${styles.sample} ${styles[phase]}`} />
          <span>{text(phase)}</span>
          <Duration of={Math.max(0, (end ?? now) - start)} />
          <Time at={start} />
        </li>
      ))}
    </ul>
  );
}
