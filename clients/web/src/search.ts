/** What an address says behind its question mark. Anybody may have written it: what is not known is left out. */
export const RUN_STATES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING", "CANCELED"] as const;
export const VIEWS = ["table", "graph", "timeline"] as const;
export const STORAGES = ["active", "archived", "all"] as const;
export type Storage = (typeof STORAGES)[number];
// As many as a run may have.
const MAX_LABELS = 20;
export type RunState = (typeof RUN_STATES)[number];
export type View = (typeof VIEWS)[number];

export interface RunsSearch {
  readonly state?: RunState;
  readonly name?: string;
  /** Id of the experiment, and of the pipeline, whose runs are shown. */
  readonly experiment?: string;
  readonly pipeline?: string;
  /** Labels as `key=value`, all of which a run has. */
  readonly label?: readonly string[];
  readonly storage?: Storage;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
}

export interface ExperimentsSearch {
  readonly name?: string;
  readonly storage?: Storage;
  readonly page?: string;
  readonly namespace?: string;
}

/** Of a page where nothing else is chosen. */
export interface NamespaceSearch {
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
  readonly namespace?: string;
}

export function runsSearch(found: Record<string, unknown>): RunsSearch {
  const state = RUN_STATES.find((one) => one === found.state);
  const labels = labelsIn(found.label);
  return {
    ...(state && { state }),
    ...text("name", found.name),
    ...text("experiment", found.experiment),
    ...text("pipeline", found.pipeline),
    ...(labels.length > 0 && { label: labels }),
    ...storage(found.storage),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

export function experimentsSearch(found: Record<string, unknown>): ExperimentsSearch {
  return {
    ...text("name", found.name),
    ...storage(found.storage),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

/** Of the runs of one experiment, which the address says before its question mark. */
export function experimentSearch(found: Record<string, unknown>): RunsSearch {
  return runsSearch({ ...found, experiment: undefined });
}

export function runSearch(found: Record<string, unknown>): RunSearch {
  const view = VIEWS.find((one) => one === found.view);
  const from = Number(found.from);
  return {
    ...(view && { view }),
    ...text("task", found.task),
    ...text("namespace", found.namespace),
    ...text("artifact", found.artifact),
    ...(Number.isSafeInteger(from) && from > 0 && { from }),
  };
}

export function namespaceSearch(found: Record<string, unknown>): NamespaceSearch {
  return text("namespace", found.namespace);
}

export const isLabel = (word: string): boolean => word.indexOf("=") > 0;

/** A link may have one label as it is, without a list around it. */
function labelsIn(found: unknown): string[] {
  const words: unknown[] = Array.isArray(found) ? found : [found];
  return words.filter((word) => typeof word === "string").filter(isLabel).slice(0, MAX_LABELS);
}

function storage(found: unknown): { storage?: Storage } {
  const one = STORAGES.find((known) => known === found);
  return one ? { storage: one } : {};
}

// The router reads `name=7` as a number.
export function text<K extends string>(key: K, value: unknown): Partial<Record<K, string>> {
  if (typeof value !== "string" && typeof value !== "number") return {};
  return value === "" ? {} : ({ [key]: String(value) } as Record<K, string>);
}
