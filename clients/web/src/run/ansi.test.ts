import { expect, test } from "vitest";

import { linesWith, pieces, settled } from "./ansi";

test("colours are read, all other sequences left out", () => {
  expect(pieces("\u001b[1;31mfailed\u001b[0m at \u001b[38;5;208m3\u001b[2K\u001b]0;title\u0007!")).toEqual([
    { text: "failed", colour: "ansi-red", bold: true },
    { text: " at ", colour: "", bold: false },
    { text: "3", colour: "", bold: false },
    { text: "!", colour: "", bold: false },
  ]);
  expect(pieces("<b>plain</b>")).toEqual([{ text: "<b>plain</b>", colour: "", bold: false }]);
  expect(pieces("")).toEqual([]);
});

test("of a line that was written over what stood last is kept", () => {
  expect(settled("load\n10 %\r50 %\r100 %\nend\r\nhalf\r")).toBe("load\n100 %\nend\nhalf");
  expect(settled("no return\n")).toBe("no return\n");
});

test("lines are found by words between colours", () => {
  const log = "epoch 1\n\u001b[32mloss\u001b[0m 0.3\nEPOCH 2\n";
  expect(linesWith(log, "epoch")).toEqual({ text: "epoch 1\nEPOCH 2", count: 2 });
  expect(linesWith(log, "loss 0.3").count).toBe(1);
  expect(linesWith(log, "")).toEqual({ text: log, count: 0 });
});
