/** What an address says behind its question mark. Anybody may have written it: what is not known is left out. */
export const RUN_STATES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING", "CANCELED"] as const;
export const VIEWS = ["table", "graph", "timeline"] as const;
const CHOSEN = [true] as const;
export const STORAGES = ["active", "archived", "all"] as const;
export type Storage = (typeof STORAGES)[number];
// As many labels as a run may have.
const MAX_WORDS = 20;
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
  /** What a run was given, as `rate>=0.1`, all of which hold. */
  readonly given?: readonly string[];
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
  /** Only tasks with this in their names. */
  readonly name?: string;
  /** What the timeline shows, in milliseconds since the epoch. */
  readonly since?: number;
  readonly until?: number;
  /** The critical path is marked. */
  readonly critical?: true;
}

export function runsSearch(found: Record<string, unknown>): RunsSearch {
  return {
    ...oneOf("state", RUN_STATES, found.state),
    ...text("name", found.name),
    ...text("experiment", found.experiment),
    ...text("pipeline", found.pipeline),
    ...words("label", isLabel, found.label),
    ...words("given", isComparison, found.given),
    ...oneOf("storage", STORAGES, found.storage),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

export function experimentsSearch(found: Record<string, unknown>): ExperimentsSearch {
  return {
    ...text("name", found.name),
    ...oneOf("storage", STORAGES, found.storage),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
  };
}

/** Of the runs of one experiment, which the address says before its question mark. */
export function experimentSearch(found: Record<string, unknown>): RunsSearch {
  return runsSearch({ ...found, experiment: undefined });
}

export function runSearch(found: Record<string, unknown>): RunSearch {
  return {
    ...oneOf("view", VIEWS, found.view),
    ...text("task", found.task),
    ...text("namespace", found.namespace),
    ...text("name", found.name),
    ...number("since", found.since),
    ...number("until", found.until),
    ...oneOf("critical", CHOSEN, found.critical),
    ...text("artifact", found.artifact),
    ...number("from", place(found.from)),
  };
}

export function namespaceSearch(found: Record<string, unknown>): NamespaceSearch {
  return text("namespace", found.namespace);
}

export const isLabel = (word: string): boolean => word.indexOf("=") > 0;

export const COMPARISON = /^([^=!<>]+)(!=|<=|>=|=|<|>)(.*)$/s;
const BY_SIZE = ["<", "<=", ">", ">="];

/** A parameter's name, how it is compared, and with what: by size with numbers alone. */
export function isComparison(word: string): boolean {
  const [, , operation = "", value = ""] = COMPARISON.exec(word) ?? [];
  return operation !== "" && (!BY_SIZE.includes(operation) || (value.trim() !== "" && Number.isFinite(Number(value))));
}

// What is undefined here takes the place of what the address says, which the router gives otherwise. It reads `name=7`
// as a number and `name=[7]` as a list.
export function text<K extends string>(key: K, value: unknown): Partial<Record<K, string>> {
  const found = value === undefined || typeof value === "string" ? value : JSON.stringify(value);
  return { [key]: found === "" ? undefined : found } as Partial<Record<K, string>>;
}

export function oneOf<K extends string, V extends string | boolean>(
  key: K,
  values: readonly V[],
  value: unknown,
): Partial<Record<K, V>> {
  return { [key]: values.find((one) => one === value) } as Partial<Record<K, V>>;
}

export function number<K extends string>(key: K, value: unknown): Partial<Record<K, number>> {
  const found = typeof value === "number" && Number.isFinite(value) ? value : undefined;
  return { [key]: found } as Partial<Record<K, number>>;
}

/** Where a page of bytes begins, unless at the beginning. */
export function place(value: unknown): number | undefined {
  const found = Number(value);
  return Number.isSafeInteger(found) && found > 0 ? found : undefined;
}

/** A link may have one word as it is, without a list around it. */
function words<K extends string>(
  key: K,
  fits: (word: string) => boolean,
  value: unknown,
): Partial<Record<K, readonly string[]>> {
  const said: unknown[] = Array.isArray(value) ? value : [value];
  const found = said.filter((word) => typeof word === "string").filter(fits).slice(0, MAX_WORDS);
  return { [key]: found.length > 0 ? found : undefined } as Partial<Record<K, readonly string[]>>;
}
