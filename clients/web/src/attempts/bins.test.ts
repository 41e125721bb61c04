import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TimelineBinSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { binsGiven, binsOf, stacked, sumsOfBins } from "./bins";
import type { Span } from "./phases";

const spans: Span[] = [
  { phase: "queued", start: 0, end: 1500 },
  { phase: "running", start: 1500, end: 4000 },
  { phase: "running", start: 3000, end: undefined },
];

test("an attempt counts in a bin by the part of it that it lasted; the sums are what was spent", () => {
  const bins = binsOf(spans, 0, 4000, 4);
  expect([...bins.counts]).toEqual([
    ["queued", [1, 0.5, 0, 0]],
    ["running", [0, 0.5, 1, 2]],
  ]);
  expect([...sumsOfBins(bins)]).toEqual([["queued", 1500], ["running", 3500]]);
});

test("what lies outside of the bins is not counted", () => {
  expect([...sumsOfBins(binsOf(spans, 1000, 2000, 7))].map(([phase, sum]) => [phase, Math.round(sum)])).toEqual([
    ["queued", 500],
    ["running", 500],
  ]);
  expect(binsOf(spans, 9000, 9000, 3).counts.get("queued")).toBeUndefined();
});

test("bins of the server are taken as they are; a phase without a name here is left out", () => {
  const given = [
    create(TimelineBinSchema, { start: timestampFromMs(1000), attempts: { ATTEMPT_PHASE_RUNNING: 2, LATER: 1 } }),
    create(TimelineBinSchema, { start: timestampFromMs(1500), attempts: { ATTEMPT_PHASE_RUNNING: 1 } }),
  ];
  const bins = binsGiven(given, 1000, 1950);
  expect([bins.from, bins.binMillis, [...bins.counts]]).toEqual([1000, 500, [["running", [2, 1]]]]);
  expect(sumsOfBins(bins).get("running")).toBe(1500);
  expect(binsGiven(given.slice(0, 1), 1000, 1400).binMillis).toBe(400);
  expect(binsGiven([], 0, 0).size).toBe(0);
});

test("phases stand one above the other", () => {
  const shown = stacked(binsOf(spans, 0, 4000, 4));
  expect(shown[0]).toEqual([1, 0.5, 0, 0]);
  expect(shown[4]).toEqual([1, 1, 1, 2]);
  expect(shown.at(-1)).toEqual([1, 1, 1, 2]);
});
