import { expect, test } from "vitest";

import { runsSearch } from "../search";
import { filterOf } from "./filter";

test("nothing chosen filters nothing", () => {
  expect(filterOf({})).toBe("");
});

test("a state and a part of the name are both asked for", () => {
  const { predicates } = JSON.parse(filterOf({ state: "FAILED", name: 'a"b' }));
  expect(predicates).toEqual([
    { operation: "EQUALS", key: "state", string_value: "FAILED" },
    { operation: "IS_SUBSTRING", key: "name", string_value: 'a"b' },
  ]);
});

test("an address that says what is not known, or a number, is read as text or not at all", () => {
  expect(runsSearch({ state: "BROKEN", name: 7, page: "" })).toEqual({ name: "7" });
});
