/** What runs were given and what they measured, a row for each name and a cell for each run, and what differs in it. A
 * run that lacks what another has differs from it. */
import type { JsonValue } from "@bufbuild/protobuf";
import type { ComparedRun } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

/** Undefined where the run has none. */
export type Cell = JsonValue | undefined;

export interface Row {
  readonly name: string;
  readonly cells: readonly Cell[];
  readonly differs: boolean;
}

type Compared = Pick<ComparedRun, "parameters" | "metrics">;

export const parameterRows = (runs: readonly Compared[]): readonly Row[] =>
  rowsOf(runs.map(({ parameters }) => parameters ?? {}));

export const metricRows = (runs: readonly Compared[]): readonly Row[] => rowsOf(runs.map(({ metrics }) => metrics));

/** A text that could be taken for something else, such as "1", is in quotes. */
export function shown(cell: Cell): string {
  if (cell === undefined) return "–";
  if (typeof cell === "number") return String(cell);
  return typeof cell === "string" && !isJson(cell) ? cell : JSON.stringify(cell);
}

/** How much more a metric is than the baseline's; undefined unless both runs have it. */
export function difference(cell: Cell, baseline: Cell): number | undefined {
  if (typeof cell !== "number" || typeof baseline !== "number") return undefined;
  return same(cell, baseline) ? 0 : cell - baseline;
}

/** With its sign, and without the last digits, which are not the metrics' but come from the subtraction. */
export function shownDifference(difference: number): string {
  const rounded = String(Number(difference.toPrecision(12)));
  return difference > 0 ? `+${rounded}` : rounded.replace("-", "−");
}

function rowsOf(runs: readonly Readonly<Record<string, JsonValue>>[]): readonly Row[] {
  const names = [...new Set(runs.flatMap((values) => Object.keys(values)))].sort();
  return names.map((name) => {
    const cells = runs.map((values) => (Object.hasOwn(values, name) ? values[name] : undefined));
    return { name, cells, differs: cells.some((cell) => !same(cell, cells[0])) };
  });
}

function same(a: Cell, b: Cell): boolean {
  if (typeof a === "number" && typeof b === "number") return a === b || (Number.isNaN(a) && Number.isNaN(b));
  return a === undefined || b === undefined ? a === b : ordered(a) === ordered(b);
}

/** As JSON, in which the keys of an object have one order. */
function ordered(value: JsonValue): string {
  return JSON.stringify(value, (_, part: JsonValue) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function isJson(word: string): boolean {
  try {
    JSON.parse(word);
    return true;
  } catch {
    return false;
  }
}
