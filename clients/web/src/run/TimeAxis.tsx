/** The marks of a timeline: with their times above it, as lines behind its bars. */
import { useLanguage } from "../text/language";
import type { Range } from "./spans";
import styles from "./RunPage.module.css";
import { tickFormat, ticksOf } from "./ticks";

const MARK_PX = 90;

interface Props {
  readonly range: Range;
  readonly width: number;
  /** Lines only. */
  readonly behind?: boolean;
}

export function TimeAxis({ range, width, behind = false }: Props) {
  const { language } = useLanguage();
  const offsetMs = -60_000 * new Date(range.from).getTimezoneOffset();
  const { step, at } = ticksOf(range, Math.max(2, Math.floor(width / MARK_PX)), offsetMs);
  return at.map((one) => (
    <span
      key={one}
      className={styles.tick}
      style={{ left: `${((one - range.from) / (range.to - range.from)) * 100}%` }}
    >
      {behind ? null : (
        <time dateTime={new Date(one).toISOString()}>
          {new Intl.DateTimeFormat(language, tickFormat(step, one, offsetMs)).format(one)}
        </time>
      )}
    </span>
  ));
}
