import { expect, test } from "vitest";

import { runSearch, runsSearch } from "./search";

test("what an address may not say is told as undefined, so that it takes the place of what it says", () => {
  const found = runSearch({ task: ["a"], name: 7, since: 5, until: "x" });
  const unsaid = ["view", "until", "namespace", "artifact", "from", "critical"];
  const nothing = Object.fromEntries(unsaid.map((key) => [key, undefined]));
  expect(found).toStrictEqual({ ...nothing, task: '["a"]', name: "7", since: 5 });
  expect([runSearch({ critical: true }).critical, runSearch({ critical: "yes" }).critical]).toEqual([true, undefined]);
  expect(runsSearch({ state: "FAILED", name: "" })).toEqual({ state: "FAILED" });
});
