import { expect, test } from "vitest";

import { tail } from "./log";

test("what is too long loses whole lines at its beginning", () => {
  expect(tail("one\ntwo\nthree\n", 8)).toBe("three\n");
  expect(tail("short", 8)).toBe("short");
  expect(tail("a line without end", 8)).toBe("hout end");
});
