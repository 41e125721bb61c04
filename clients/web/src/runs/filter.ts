/** The filter of a list of runs, as the API takes it: JSON in a text. */
import { COMPARISON, type RunsSearch, type Storage } from "../search";

const OPERATIONS = {
  "=": "EQUALS",
  "!=": "NOT_EQUALS",
  "<": "LESS_THAN",
  "<=": "LESS_THAN_EQUALS",
  ">": "GREATER_THAN",
  ">=": "GREATER_THAN_EQUALS",
} as const;
type Operator = keyof typeof OPERATIONS;

export type Predicate = { readonly key: string } & (
  | { readonly operation: (typeof OPERATIONS)[Operator] | "IS_SUBSTRING"; readonly string_value: string }
  | { readonly operation: "IN"; readonly string_values: { readonly values: readonly string[] } }
  | { readonly operation: "GREATER_THAN_EQUALS"; readonly timestamp_value: string }
);

/** Archived runs are out of sight unless they are asked for. */
export function filterOf(search: RunsSearch): string {
  return filterText([
    ...storagePredicate(search.storage),
    ...equals("state", search.state),
    ...equals("pipeline_id", search.pipeline),
    ...contains("name", search.name),
    ...(search.label ?? []).flatMap((word) => {
      const at = word.indexOf("=");
      return equals(`labels.${word.slice(0, at)}`, word.slice(at + 1), true);
    }),
    ...(search.given ?? []).flatMap(ofParameter),
  ]);
}

function ofParameter(word: string): Predicate[] {
  const [, name, operator, value] = COMPARISON.exec(word) ?? [];
  if (name === undefined || operator === undefined || value === undefined) return [];
  const operation = OPERATIONS[operator as Operator];
  return [{ operation, key: `parameters.${name.trim()}`, string_value: value.trim() }];
}

export function storagePredicate(storage: Storage = "active"): Predicate[] {
  return storage === "all" ? [] : equals("storage_state", storage === "active" ? "AVAILABLE" : "ARCHIVED");
}

export function contains(key: string, value: string | undefined): Predicate[] {
  return value ? [{ operation: "IS_SUBSTRING", key, string_value: value }] : [];
}

/** The server unescapes a filter that has a percent sign in it once more (api.md §2.3). */
export function filterText(predicates: readonly Predicate[]): string {
  if (predicates.length === 0) return "";
  const json = JSON.stringify({ predicates });
  return json.includes("%") ? encodeURIComponent(json) : json;
}

export function equals(key: string, value: string | undefined, empty = false): Predicate[] {
  if (value === undefined || (value === "" && !empty)) return [];
  return [{ operation: "EQUALS", key, string_value: value }];
}
