import { expect, test } from "vitest";

import { attemptsOf, waitingIn } from "./places";

test("attempts beyond the places wait", () => {
  expect(attemptsOf({ places: 4, openAttempts: 1 })).toEqual({ busy: 1, waiting: 0 });
  expect(attemptsOf({ places: 4, openAttempts: 7 })).toEqual({ busy: 4, waiting: 3 });
});

test("of an executor that names no places nothing is said to wait", () => {
  expect(attemptsOf({ places: 0, openAttempts: 7 })).toEqual({ busy: 7, waiting: 0 });
});

test("what waits at each executor adds up, and a free place at one is not another's", () => {
  const executors = [
    { places: 2, openAttempts: 5 },
    { places: 9, openAttempts: 0 },
    { places: 1, openAttempts: 2 },
  ];
  expect(waitingIn(executors)).toBe(4);
  expect(waitingIn([])).toBe(0);
});
