import { expect, test } from "vitest";

import { runSearch, runsSearch } from "./search";

test("what an address may not say is told as undefined, so that it takes the place of what it says", () => {
  const found = runSearch({ task: ["a"], name: 7, since: 5, until: "x" });
  const nothing = { view: undefined, until: undefined, namespace: undefined, artifact: undefined, from: undefined };
  expect(found).toStrictEqual({ ...nothing, task: '["a"]', name: "7", since: 5 });
  expect(runsSearch({ state: "FAILED", name: "" })).toEqual({ state: "FAILED" });
});
