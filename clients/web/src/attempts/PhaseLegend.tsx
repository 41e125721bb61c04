/** Where time went: for each phase that occurs how it is drawn, and how long all attempts together were in it. */
import { Duration } from "../components/facts";
import { useText } from "../text/language";
import styles from "./Attempts.module.css";
import { PHASES, type Sums } from "./phases";

export function PhaseLegend({ sums }: { readonly sums: Sums }) {
  const text = useText();
  return (
    <ul className={styles.legend} aria-label={text("timeOfAllAttempts")}>
      {PHASES.filter((phase) => sums.has(phase)).map((phase) => (
        <li key={phase} data-sum={phase}>
          <span aria-hidden className={`${styles.sample} ${styles[phase]}`} />
          <span>{text(phase)}</span>
          <b>
            <Duration of={sums.get(phase)} />
          </b>
        </li>
      ))}
    </ul>
  );
}
