/**
 * What an address says behind its question mark. Anybody may have written it: what is not known is left out.
 *
 * Every key is in what is found, if only as undefined: for one that is not, the router gives what the address says.
 */
export const RUN_STATES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING", "CANCELED"] as const;
export const VIEWS = ["table", "graph", "timeline"] as const;
export type RunState = (typeof RUN_STATES)[number];
export type View = (typeof VIEWS)[number];

export interface RunsSearch {
  readonly state?: RunState | undefined;
  readonly name?: string | undefined;
  /** Token of the page that is shown. */
  readonly page?: string | undefined;
  readonly namespace?: string | undefined;
}

export interface RunSearch {
  readonly view?: View | undefined;
  /** Path of the chosen task. */
  readonly task?: string | undefined;
  /** Only tasks with this in their names. */
  readonly name?: string | undefined;
  /** What the timeline shows, in milliseconds since the epoch. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export function runsSearch(found: Record<string, unknown>): RunsSearch {
  const state = RUN_STATES.find((one) => one === found.state);
  return {
    state,
    name: text(found.name),
    page: text(found.page),
    namespace: text(found.namespace),
  };
}

export function runSearch(found: Record<string, unknown>): RunSearch {
  const view = VIEWS.find((one) => one === found.view);
  return { view, task: text(found.task), name: text(found.name), from: number(found.from), to: number(found.to) };
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

// The router reads `name=7` as a number, `name=[7]` as a list.
function text(value: unknown): string | undefined {
  if (value === undefined || value === "") return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}
