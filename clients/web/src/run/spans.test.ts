import { expect, test } from "vitest";

import { barOf, extentOf } from "./spans";

const times = (createdAt?: number, startedAt?: number, finishedAt?: number) => ({ createdAt, startedAt, finishedAt });

test("the whole begins with what was there first; what has not ended goes on to now", () => {
  const rows = (...tasks: ReturnType<typeof times>[]) => tasks.map((task) => ({ node: { task } }));
  expect(extentOf(rows(times(1000, 1500, 2000), times(1200, 2000), times()), 3000)).toEqual({ from: 1000, to: 3000 });
  expect(extentOf(rows(times()), 3000)).toBeUndefined();
});

test("a bar waits from when a task was there, runs from its start, and is cut at the range", () => {
  const range = { from: 1000, to: 3000 };
  expect(barOf(times(1000, 2000), range, 3000)).toEqual({
    waits: { at: 0, share: 0.5 },
    runs: { at: 0.5, share: 0.5 },
    waitedMillis: 1000,
    ranMillis: 1000,
  });
  expect(barOf(times(2000), range, 3000)).toMatchObject({ waits: { at: 0.5, share: 0.5 }, runs: undefined });
  expect(barOf(times(0, 0, 5000), range, 3000)?.runs).toEqual({ at: 0, share: 1 });
  expect(barOf(times(100, 200, 300), range, 3000)).toMatchObject({ waits: undefined, runs: undefined });
  expect(barOf(times(), range, 3000)).toBeUndefined();
});
