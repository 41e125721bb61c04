/** The critical path of a run: the chain of tasks that its end waited for. */
import type { CriticalTask } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

export interface Step {
  readonly path: string;
  readonly name: string;
  readonly state: string;
  readonly millis: number;
  /** Of the time from the beginning of the run to its end. */
  readonly share: number;
}

/** What lasts goes on to the end of what is shown. */
export function chainOf(tasks: readonly CriticalTask[], from: number, to: number): Step[] {
  return tasks.map(({ path, displayName, state, start, end }) => {
    const begin = millis(start) ?? from;
    const took = Math.max(0, (millis(end) ?? to) - begin);
    return { path, name: displayName || path, state, millis: took, share: Math.min(1, took / Math.max(1, to - from)) };
  });
}

/** With all that they are in, which stand for them where they are folded away. */
export function withAncestors(paths: Iterable<string>): ReadonlySet<string> {
  const found = new Set<string>();
  for (const path of paths) {
    for (let one = path; one !== "" && !found.has(one); one = parentOf(one)) found.add(one);
  }
  return found;
}

/** `each[3]/train` is in `each[3]`, which is in `each`. */
function parentOf(path: string): string {
  const iteration = /\[\d+\]$/.exec(path);
  return path.slice(0, iteration ? iteration.index : Math.max(0, path.lastIndexOf("/")));
}
