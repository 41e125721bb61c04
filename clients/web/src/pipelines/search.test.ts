import { expect, test } from "vitest";

import { filterOf, pipelinesSearch, startSearch } from "./search";

test("a part of the name is asked for as it was typed, a percent sign too", () => {
  expect(filterOf({})).toBe("");
  const { predicates } = JSON.parse(decodeURIComponent(filterOf({ name: '5%20"' })));
  expect(predicates).toEqual([{ operation: "IS_SUBSTRING", key: "display_name", string_value: '5%20"' }]);
});

test("what an address says that is not known is left out", () => {
  expect(pipelinesSearch({ name: 7, page: "", other: "x" })).toEqual({ name: "7" });
  expect(startSearch({ pipeline: "p", version: "", clone: undefined, x: 1 })).toEqual({ pipeline: "p" });
});
