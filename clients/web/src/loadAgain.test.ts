import { expect, test } from "vitest";

import { mayLoadAgain } from "./loadAgain";

test("a page is loaded again once a minute at most", () => {
  const kept = new Map<string, string>();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, to: string) => kept.set(key, to) };
  expect([1e9, 1e9 + 59_999, 1e9 + 60_000, 1e9].map((now) => mayLoadAgain(now, storage))).toEqual([true, false, true, true]);
});
