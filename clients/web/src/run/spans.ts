/** Where the bars of a timeline begin and end, as parts of the range of time that is shown. */
import type { Seen } from "./seen";

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Between 0 and 1, as far as it is within the range. */
export interface Part {
  readonly at: number;
  readonly share: number;
}

export interface Bar {
  /** From when it could have begun. */
  readonly waits: Part | undefined;
  readonly runs: Part | undefined;
  readonly waitedMillis: number;
  readonly ranMillis: number;
}

type Times = Pick<Seen, "createdAt" | "startedAt" | "finishedAt">;

/** From the first that is known of any task to the end of the last; what has not ended goes on to `now`. */
export function extentOf(rows: Iterable<{ node: { task: Times } }>, now: number): Range | undefined {
  let from = Infinity;
  let to = -Infinity;
  for (const { node } of rows) {
    const { createdAt, startedAt, finishedAt } = node.task;
    const begin = Math.min(createdAt ?? Infinity, startedAt ?? Infinity);
    if (begin === Infinity) continue;
    from = Math.min(from, begin);
    to = Math.max(to, begin, finishedAt ?? now);
  }
  return from === Infinity ? undefined : { from, to: Math.max(to, from + 1) };
}

/** Undefined for a task of which no time is known. */
export function barOf({ createdAt, startedAt, finishedAt }: Times, range: Range, now: number): Bar | undefined {
  const begin = createdAt ?? startedAt;
  if (begin === undefined) return undefined;
  const end = Math.max(begin, finishedAt ?? now);
  const start = Math.min(end, Math.max(begin, startedAt ?? end));
  return {
    waits: partOf(begin, start, range),
    runs: startedAt === undefined ? undefined : partOf(start, end, range),
    waitedMillis: start - begin,
    ranMillis: startedAt === undefined ? 0 : end - start,
  };
}

/** Undefined for what lies outside. */
export function partOf(start: number, end: number, { from, to }: Range): Part | undefined {
  if (end < from || start > to) return undefined;
  const at = (Math.max(start, from) - from) / (to - from);
  return { at, share: (Math.min(end, to) - from) / (to - from) - at };
}
