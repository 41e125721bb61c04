import { expect, test } from "vitest";

import { failedLately, firstLine, goingOn } from "./filters";

const predicates = (filter: string) => JSON.parse(filter).predicates;
const AVAILABLE = { operation: "EQUALS", key: "storage_state", string_value: "AVAILABLE" };

test("what failed within a day counts by its end, to the second of UTC", () => {
  expect(predicates(failedLately(Date.UTC(2026, 2, 1, 12, 30)))).toEqual([
    AVAILABLE,
    { operation: "EQUALS", key: "state", string_value: "FAILED" },
    { operation: "GREATER_THAN_EQUALS", key: "finished_at", timestamp_value: "2026-02-28T12:30:00.000Z" },
  ]);
});

test("what goes on has not ended", () => {
  expect(predicates(goingOn())[1].string_values.values).toEqual(["PENDING", "RUNNING", "CANCELING"]);
});

test("the first line of an error is the first that says anything", () => {
  expect(firstLine("\n  exit code 1\r\nTraceback")).toBe("exit code 1");
  expect(firstLine("one")).toBe("one");
  expect(firstLine("")).toBe("");
});
