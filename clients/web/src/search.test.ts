import { expect, test } from "vitest";

import { runSearch, runsSearch } from "./search";

test("what an address may not say is told as undefined, so that it takes the place of what it says", () => {
  expect(runSearch({ view: "nonsense", task: ["a"], name: 7, from: 5, to: "x" })).toEqual({
    view: undefined,
    task: '["a"]',
    name: "7",
    from: 5,
    to: undefined,
  });
  expect(Object.keys(runsSearch({ state: {} }))).toEqual(["state", "name", "page", "namespace"]);
  expect(runsSearch({ state: "FAILED", name: "" })).toEqual({ state: "FAILED" });
});
