import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { heardTime, serverNow } from "./clock";

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers({ now: 10 * DAY_MS }));
afterEach(() => void vi.useRealTimers());

test("a clock that is off by a day is put right, and goes on", () => {
  heardTime(11 * DAY_MS, 10 * DAY_MS, 10 * DAY_MS);
  expect(serverNow()).toBe(11 * DAY_MS);
  vi.advanceTimersByTime(2_000);
  expect(serverNow()).toBe(11 * DAY_MS + 2_000);
  heardTime(9 * DAY_MS, 10 * DAY_MS, 10 * DAY_MS);
  expect(serverNow()).toBe(9 * DAY_MS + 2_000);
});

test("a small difference is none, nor is one that a slow answer explains", () => {
  heardTime(10 * DAY_MS + 4_000, 10 * DAY_MS, 10 * DAY_MS);
  expect(serverNow()).toBe(10 * DAY_MS);
  heardTime(10 * DAY_MS, 10 * DAY_MS, 10 * DAY_MS + 20_000);
  expect(serverNow()).toBe(10 * DAY_MS);
});
