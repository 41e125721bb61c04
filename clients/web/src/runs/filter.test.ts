import { expect, test } from "vitest";

import { runsSearch } from "../search";
import { filterOf } from "./filter";

const AVAILABLE = { operation: "EQUALS", key: "storage_state", string_value: "AVAILABLE" };
const predicates = (filter: string) => JSON.parse(filter).predicates;

test("nothing chosen leaves out what is archived alone", () => {
  expect(predicates(filterOf({}))).toEqual([AVAILABLE]);
  expect(predicates(filterOf({ storage: "archived" }))).toEqual([{ ...AVAILABLE, string_value: "ARCHIVED" }]);
  expect(filterOf({ storage: "all" })).toBe("");
});

test("a state and a part of the name are both asked for", () => {
  expect(predicates(filterOf({ state: "FAILED", name: 'a"b' }))).toEqual([
    AVAILABLE,
    { operation: "EQUALS", key: "state", string_value: "FAILED" },
    { operation: "IS_SUBSTRING", key: "name", string_value: 'a"b' },
  ]);
});

test("a label's value goes from its first equals sign to its end, and may be empty", () => {
  const filter = filterOf({ storage: "all", label: ["team=a=b", "tried="], pipeline: "p1" });
  expect(predicates(filter)).toEqual([
    { operation: "EQUALS", key: "pipeline_id", string_value: "p1" },
    { operation: "EQUALS", key: "labels.team", string_value: "a=b" },
    { operation: "EQUALS", key: "labels.tried", string_value: "" },
  ]);
});

test("a parameter is compared as it is written, by size with a number alone", () => {
  const { given } = runsSearch({ given: ["rate >= 0.1", "name=a<b", "flag!=true", "rate>much", "rate", "=1"] });
  expect(given).toEqual(["rate >= 0.1", "name=a<b", "flag!=true"]);
  expect(predicates(filterOf({ storage: "all", given: given ?? [] }))).toEqual([
    { operation: "GREATER_THAN_EQUALS", key: "parameters.rate", string_value: "0.1" },
    { operation: "EQUALS", key: "parameters.name", string_value: "a<b" },
    { operation: "NOT_EQUALS", key: "parameters.flag", string_value: "true" },
  ]);
});

test("a filter with a percent sign is escaped, since the server unescapes it", () => {
  const filter = filterOf({ storage: "all", name: "50%2B+1" });
  expect(predicates(decodeURIComponent(filter))[0].string_value).toBe("50%2B+1");
  expect(filter).not.toContain("+");
});

test("an address that says what is not known, or a number, is read as text or not at all", () => {
  expect(runsSearch({ state: "BROKEN", name: 7, page: "", storage: "lost", label: "none" })).toEqual({ name: "7" });
});

test("one label in an address or a list of them", () => {
  expect(runsSearch({ label: "team=vision" })).toEqual({ label: ["team=vision"] });
  expect(runsSearch({ label: ["a=1", 7, "=b", "c"], storage: "all" })).toEqual({ label: ["a=1"], storage: "all" });
});
