/** The part of a run's time that a timeline shows: never outside of the whole, nor shorter than can be told apart. */
import type { Range } from "./spans";

const SHORTEST_MS = 20;

/** `factor` below 1 shows less; `at`, from 0 to 1 of the range, is the point that stays where it is. */
export function zoomed(range: Range, whole: Range, factor: number, at = 0.5): Range | undefined {
  const length = Math.max(SHORTEST_MS, (range.to - range.from) * factor);
  const from = range.from + (range.to - range.from) * at - length * at;
  return within({ from, to: from + length }, whole);
}

/** `by` is a part of the range, to the right when it is positive. */
export function moved(range: Range, whole: Range, by: number): Range | undefined {
  const length = range.to - range.from;
  return within({ from: range.from + length * by, to: range.to + length * by }, whole);
}

/** Whole milliseconds. Undefined when it shows all there is, or nothing of it. */
export function within({ from, to }: Range, whole: Range): Range | undefined {
  const length = to - from;
  if (!(length > 0) || length >= whole.to - whole.from) return undefined;
  const begin = Math.round(Math.min(Math.max(from, whole.from), whole.to - length));
  return { from: begin, to: begin + Math.round(length) };
}
