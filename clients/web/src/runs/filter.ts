/** The filter of a list of runs, as the API takes it: JSON in a text. */
import type { RunsSearch } from "../search";

export function filterOf(search: RunsSearch): string {
  const predicates = [];
  if (search.state) predicates.push({ operation: "EQUALS", key: "state", string_value: search.state });
  if (search.name) predicates.push({ operation: "IS_SUBSTRING", key: "name", string_value: search.name });
  return predicates.length > 0 ? JSON.stringify({ predicates }) : "";
}
