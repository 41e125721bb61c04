import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Batch, MOST, PAUSE_MS } from "./batch";

const calls: [string, readonly string[]][] = [];
const batch = () =>
  new Batch(async (runId, paths) => {
    calls.push([runId, paths]);
    if (runId === "broken") throw new Error("away");
    return new Map(paths.filter((path) => path !== "none").map((path) => [path, `${runId} ${path}`]));
  }, "nothing");
const stays = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers();
  calls.length = 0;
});
afterEach(() => void vi.useRealTimers());

test("what is asked for at about the same time is one call for each run, and each gets its own", async () => {
  const own = batch();
  const asked = ["a", "b", "none", "a"].map((path) => own.ask("one", path, stays));
  const other = own.ask("two", "a", stays);
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  expect(await Promise.all([...asked, other])).toEqual(["one a", "one b", "nothing", "one a", "two a"]);
  expect(calls).toEqual([["one", ["a", "b", "none"]], ["two", ["a"]]]);
});

test("a call names no more than the server takes", async () => {
  const own = batch();
  const asked = Array.from({ length: MOST + 1 }, (_, number) => own.ask("one", String(number), stays));
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  await Promise.all(asked);
  expect(calls.map(([, paths]) => paths.length)).toEqual([MOST, 1]);
});

test("rows that come and go without a pause ask for nothing; those that stay are asked for after it", async () => {
  const own = batch();
  const results: Promise<string>[] = [];
  for (let row = 0; row < 20; row += 1) {
    const leaves = new AbortController();
    results.push(own.ask("one", `gone ${row}`, leaves.signal));
    await vi.advanceTimersByTimeAsync(PAUSE_MS / 4);
    leaves.abort();
  }
  expect(calls).toEqual([]);
  const stayed = own.ask("one", "stays", stays);
  const settled = Promise.allSettled(results);
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  expect(await stayed).toBe("one stays");
  expect((await settled).every(({ status }) => status === "rejected")).toBe(true);
  expect(calls).toEqual([["one", ["stays"]]]);
});

test("what a call fails for is what all who asked get", async () => {
  const own = batch();
  const settled = Promise.allSettled([own.ask("broken", "a", stays), own.ask("broken", "b", stays)]);
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
