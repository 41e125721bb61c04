/** What the address of a comparison says behind its question mark. */
import { oneOf, text } from "../search";

/** As many as the server compares. */
export const MOST_RUNS = 20;
const ROWS = ["differing"] as const;

export interface CompareSearch {
  /** Ids of the runs, in the order of their columns, none of them twice. */
  readonly run?: readonly string[];
  /** Id of the run whose metrics the others' are held against. */
  readonly baseline?: string;
  /** Which rows there are: all unless it is said. */
  readonly rows?: (typeof ROWS)[number];
  readonly namespace?: string;
}

export function compareSearch(found: Record<string, unknown>): CompareSearch {
  return {
    ...ids(found.run),
    ...text("baseline", found.baseline),
    ...oneOf("rows", ROWS, found.rows),
    ...text("namespace", found.namespace),
  };
}

/** What the address says without a run, which is no baseline any more, either. */
export function without(search: CompareSearch, runId: string): CompareSearch {
  const baseline = search.baseline === runId ? undefined : search.baseline;
  return compareSearch({ ...search, run: search.run?.filter((id) => id !== runId), baseline });
}

/** A link may have one run as it is, without a list around it. The router reads `run=7` as a number. */
function ids(value: unknown): { run?: readonly string[] } {
  const words: unknown[] = Array.isArray(value) ? value : [value];
  const found = words.flatMap((word) => (typeof word === "string" || typeof word === "number" ? [String(word)] : []));
  const run = [...new Set(found)].filter(Boolean);
  // As in ../search: what is undefined takes the place of what the address says.
  return { run: run.length > 0 ? run : undefined } as { run?: readonly string[] };
}
