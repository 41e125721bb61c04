/**
 * A task as the views of a run need it: what a row, a node or a bar shows, and no more.
 *
 * Inputs and outputs are left with the server, so that a page may hold 100,000 tasks; the panel asks for those of its
 * one task. A `Seen` never changes: a task that has changed is another one, with a higher `version`.
 */
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

export interface Seen {
  readonly path: string;
  readonly parentPath: string;
  /** As it is shown; without the number of an iteration. */
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly createdAt: number | undefined;
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  readonly iterationIndex: number | undefined;
  /** How many children are in each state, where the server said so; watches do not. */
  readonly childCounts: ReadonlyMap<string, number>;
  readonly version: number;
}

const NONE: ReadonlyMap<string, number> = new Map();

/** `same` gives one copy of texts that are equal: thousands of tasks share a name, a parent and a state. */
export function seenOf(task: Task, version: number, same: (text: string) => string = (text) => text): Seen {
  const counts = Object.entries(task.childCounts);
  return {
    path: task.path,
    parentPath: same(task.parentPath),
    name: same(task.displayName || task.name),
    kind: same(task.kind),
    state: same(task.state),
    createdAt: millis(task.createdAt),
    startedAt: millis(task.startedAt),
    finishedAt: millis(task.finishedAt),
    iterationIndex: task.iterationIndex,
    childCounts: counts.length > 0 ? new Map(counts) : NONE,
    version,
  };
}

export function shownName({ name, kind, iterationIndex }: Seen): string {
  return kind === "iteration" ? `${name} [${iterationIndex ?? ""}]` : name;
}
