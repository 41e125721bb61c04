import { expect, test } from "vitest";

import { isNamespace, withLatest } from "./recentNamespaces";

test("the latest comes first, once, and what is no name is forgotten", () => {
  expect(withLatest(["team-a", "team-b", 7, "No Name"], "team-b")).toEqual(["team-b", "team-a"]);
  expect(withLatest("broken", "team-a")).toEqual(["team-a"]);
  expect(withLatest(Array.from({ length: 30 }, (_, number) => `team-${number}`), "team-a")).toHaveLength(10);
});

test("names are those that Kubernetes takes", () => {
  expect(["team-a", "a", "7"].every(isNamespace)).toBe(true);
  expect(["", "-a", "a-", "A", "a_b", "a".repeat(64), undefined].some(isNamespace)).toBe(false);
});
