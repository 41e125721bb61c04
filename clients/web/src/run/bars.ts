/** Where the bars of a timeline begin and end, as parts of the whole. */
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

export interface Bar {
  readonly from: number;
  readonly share: number;
  readonly millis: number;
}

/** One for each task, none for those that have not begun. What runs still goes on to `now`. */
export function barsOf(tasks: readonly Task[], now: number): (Bar | undefined)[] {
  const spans = tasks.map((task) => {
    const start = millis(task.startedAt);
    if (start === undefined) return undefined;
    return { start, end: Math.max(start, millis(task.finishedAt) ?? now) };
  });
  let first = Infinity;
  let last = -Infinity;
  for (const span of spans) {
    if (!span) continue;
    first = Math.min(first, span.start);
    last = Math.max(last, span.end);
  }
  const whole = Math.max(1, last - first);
  return spans.map(
    (span) =>
      span && {
        from: (span.start - first) / whole,
        share: (span.end - span.start) / whole,
        millis: span.end - span.start,
      },
  );
}
