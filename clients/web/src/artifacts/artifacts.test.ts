import { expect, test } from "vitest";

import { runSearch } from "../search";
import { dataUrl, imageType, prettyJson, textOf } from "./bytes";
import { areaUnder, classifications, scalars } from "./metrics";

const utf8 = (text: string) => new TextEncoder().encode(text);

test("a character that two pages share is on the one that it begins on", () => {
  const bytes = utf8("ab中文");
  // The second page begins inside of 中.
  expect(textOf(bytes, 3, true)).toBe("ab中");
  expect(textOf(bytes.subarray(3), 100, false)).toBe("文");
  expect(textOf(utf8(""), 10, true)).toBe("");
});

test("an address says at which byte a page begins, or nothing", () => {
  expect(runSearch({ artifact: "a", from: "65536" })).toEqual({ artifact: "a", from: 65536 });
  for (const from of [-1, "x", 1.5, 0, 1e300, null]) expect(runSearch({ from })).toEqual({});
});

test("what is no text is not shown as text", () => {
  expect(textOf(new Uint8Array([0, 1, 2]), 3, true)).toBeUndefined();
  expect(textOf(new Uint8Array([65, 0xff, 66]), 3, true)).toBeUndefined();
});

test("images are known by their first bytes, not by what they are called", () => {
  expect(imageType(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))).toBe("image/png");
  expect(imageType(new Uint8Array([0xff, 0xd8, 0xff, 0xe0]))).toBe("image/jpeg");
  expect(imageType(utf8("<svg onload='x'>"))).toBeUndefined();
  expect(dataUrl("image/gif", utf8("GIF89a"))).toBe(`data:image/gif;base64,${btoa("GIF89a")}`);
});

test("JSON is laid out; a number alone or broken JSON is text", () => {
  expect(prettyJson('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(prettyJson("7")).toBeUndefined();
  expect(prettyJson("{")).toBeUndefined();
});

test("a curve is sorted, its area is that of trapezoids, and what is no point is left out", () => {
  const confidenceMetrics = [
    { confidenceThreshold: 0, falsePositiveRate: 1, recall: 1 },
    { confidenceThreshold: 1 },
    "nonsense",
    { confidenceThreshold: 0.5, falsePositiveRate: 0.5, recall: 0.75 },
    { falsePositiveRate: "x" },
  ];
  const confusionMatrix = { annotationSpecs: [{ displayName: "cat" }, {}], rows: [{ row: [1, 2] }, "x"] };
  const [one] = classifications("system.ClassificationMetrics", { confidenceMetrics, confusionMatrix });
  // A zero may be left out of JSON.
  expect(one?.curve.map(({ falsePositives }) => falsePositives)).toEqual([0, 0, 0.5, 1]);
  expect(areaUnder(one?.curve ?? [])).toBeCloseTo(0.625);
  expect(one?.matrix).toEqual({ labels: ["cat", ""], rows: [[1, 2], []] });
});

test("each slice has its own metrics; metadata of another form have none", () => {
  const evaluationSlices = [{ slice: "north", sliceClassificationMetrics: { confidenceMetrics: [{ recall: 0 }] } }, 7];
  const found = classifications("system.SlicedClassificationMetrics", { evaluationSlices });
  expect(found.map(({ name, curve }) => [name, curve.length])).toEqual([["north", 1], ["", 0]]);
  expect(classifications("system.ClassificationMetrics", undefined)[0]?.curve).toEqual([]);
  expect(scalars({ accuracy: 0.5, note: "<b>", more: [1] })).toEqual([
    ["accuracy", "0.5"],
    ["note", "<b>"],
    ["more", "[1]"],
  ]);
});
