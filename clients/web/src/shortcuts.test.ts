import { expect, test } from "vitest";

import { actionOf, SHORTCUTS } from "./shortcuts";

test("a key means one thing, and nothing where text is written", () => {
  const keys = SHORTCUTS.flatMap(({ anywhere, inRows }) => [...anywhere, ...inRows]);
  expect(new Set(keys).size).toBe(keys.length);
  expect(actionOf("?", "control")).toBe("help");
  expect(actionOf("/", "rows")).toBe("search");
  expect(actionOf("/", "elsewhere")).toBeUndefined();
});

test("a button keeps the keys that it has itself", () => {
  expect(actionOf("Enter", "rows")).toBe("open");
  expect(actionOf("Enter", "control")).toBeUndefined();
  expect([actionOf("j", "rows"), actionOf("j", "control")]).toEqual(["next", "next"]);
  expect([actionOf("ArrowUp", "rows"), actionOf("ArrowUp", "control")]).toEqual(["previous", undefined]);
  expect(actionOf("constructor", "rows")).toBeUndefined();
});
