import { expect, test } from "vitest";

import { moveOf } from "./keys";

test("letters work beside buttons, arrows and Enter in the rows only, nothing where text is written", () => {
  expect([moveOf("j", "rows"), moveOf("j", "control"), moveOf("j", "elsewhere")]).toEqual(["next", "next", undefined]);
  expect([moveOf("Enter", "rows"), moveOf("Enter", "control")]).toEqual(["open", undefined]);
  expect([moveOf("ArrowUp", "rows"), moveOf("ArrowUp", "control")]).toEqual(["previous", undefined]);
  expect([moveOf("Escape", "control"), moveOf("/", "rows")]).toEqual(["close", "search"]);
  expect(moveOf("toString", "rows")).toBeUndefined();
});
