import { expect, test } from "vitest";

import { actionOf, SHORTCUTS } from "./shortcuts";

test("a key means one thing, and nothing where text is written", () => {
  const keys = SHORTCUTS.flatMap(({ anywhere, inRows }) => [...anywhere, ...inRows]);
  expect(new Set(keys).size).toBe(keys.length);
  expect(actionOf("?", "control")).toBe("help");
  expect(actionOf("/", "rows")).toBe("search");
  expect(actionOf("/", "elsewhere")).toBeUndefined();
});

test("letters work beside buttons, arrows and Enter in the rows only", () => {
  expect([actionOf("j", "rows"), actionOf("j", "control")]).toEqual(["next", "next"]);
  expect([actionOf("Enter", "rows"), actionOf("Enter", "control")]).toEqual(["open", undefined]);
  expect([actionOf("ArrowUp", "rows"), actionOf("ArrowUp", "control")]).toEqual(["previous", undefined]);
  expect([actionOf("Escape", "control"), actionOf("Escape", "elsewhere")]).toEqual(["close", undefined]);
  expect(actionOf("constructor", "rows")).toBeUndefined();
});
