/** Where a time axis has its marks: at round times of the reader's zone, no closer than asked for. */
import type { Range } from "./spans";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 7, 14, 28, 91, 364].map((days) => days * DAY),
];

export interface Ticks {
  readonly step: number;
  /** Milliseconds since the epoch. */
  readonly at: readonly number[];
}

/** So many at most. `offsetMs` is what local time is ahead of UTC. */
export function ticksOf({ from, to }: Range, most: number, offsetMs: number): Ticks {
  const step = STEPS.find((one) => (to - from) / one <= most) ?? Math.ceil((to - from) / most / DAY) * DAY;
  const at: number[] = [];
  for (let next = Math.ceil((from + offsetMs) / step) * step - offsetMs; next <= to; next += step) at.push(next);
  return { step, at };
}

/** As much of the time as tells the marks apart; the day at midnight. */
export function tickFormat(step: number, at: number, offsetMs: number): Intl.DateTimeFormatOptions {
  if ((at + offsetMs) % DAY === 0) return { month: "short", day: "numeric" };
  const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (step >= MINUTE) return clock;
  return step >= SECOND
    ? { ...clock, second: "2-digit" }
    : { ...clock, second: "2-digit", fractionalSecondDigits: 3 };
}
