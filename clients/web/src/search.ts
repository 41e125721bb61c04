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
  /** Name of the artifact that is looked at. */
  readonly artifact?: string;
  /** The byte of it at which the page that is shown begins. */
  readonly from?: number;
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
  const from = Number(found.from);
  return {
    ...(view && { view }),
    ...text("task", found.task),
    ...text("artifact", found.artifact),
    ...(Number.isSafeInteger(from) && from > 0 && { from }),
  };
}

// The router reads `name=7` as a number.
export function text<K extends string>(key: K, value: unknown): Partial<Record<K, string>> {
  if (typeof value !== "string" && typeof value !== "number") return {};
  return value === "" ? {} : ({ [key]: String(value) } as Record<K, string>);
}
