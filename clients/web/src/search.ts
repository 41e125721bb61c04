/** What an address says behind its question mark. Anybody may have written it: what is not known is left out. */
export const RUN_STATES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING", "CANCELED"] as const;
export const VIEWS = ["table", "graph", "timeline"] as const;
export type RunState = (typeof RUN_STATES)[number];
export type View = (typeof VIEWS)[number];

export interface RunsSearch {
  readonly state?: RunState;
  readonly name?: string;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export interface RunSearch {
  readonly view?: View;
  /** Path of the chosen task. */
  readonly task?: string;
  /** Only tasks with this in their names. */
  readonly name?: string;
  /** What the timeline shows, in milliseconds since the epoch. */
  readonly since?: number;
  readonly until?: number;
}

export function runsSearch(found: Record<string, unknown>): RunsSearch {
  const state = RUN_STATES.find((one) => one === found.state);
  return {
    ...(state && { state }),
    ...text("name", found.name),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

export function runSearch(found: Record<string, unknown>): RunSearch {
  const view = VIEWS.find((one) => one === found.view);
  return {
    ...(view && { view }),
    ...text("task", found.task),
    ...text("name", found.name),
    ...number("since", found.since),
    ...number("until", found.until),
  };
}

// The router reads `name=7` as a number, `name=[7]` as a list. What is undefined here takes the place of what the
// address says, which the router gives otherwise.
function text<K extends string>(key: K, value: unknown): Partial<Record<K, string>> {
  const found = value === undefined || typeof value === "string" ? value : JSON.stringify(value);
  return { [key]: found === "" ? undefined : found } as Partial<Record<K, string>>;
}

function number<K extends string>(key: K, value: unknown): Partial<Record<K, number>> {
  const found = typeof value === "number" && Number.isFinite(value) ? value : undefined;
  return { [key]: found } as Partial<Record<K, number>>;
}
