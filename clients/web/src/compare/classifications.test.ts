import { create, type JsonObject } from "@bufbuild/protobuf";
import { ComparedRunSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { aligned } from "../artifacts/aligned";
import { look, MOST_LINES } from "../artifacts/lines";
import { curvesOf, matricesOf } from "./classifications";

const CURVE = [{ confidenceThreshold: 1 }, { confidenceThreshold: 0, falsePositiveRate: 1, recall: 1 }];
const matrix = (classes: number) => ({
  annotationSpecs: Array.from({ length: classes }, (_, index) => ({ displayName: `c${index}` })),
  rows: [],
});
const run = (displayName: string, ...metrics: JsonObject[]) =>
  create(ComparedRunSchema, {
    run: { runId: "id", displayName },
    classificationMetrics: metrics.map((metadata, index) => ({
      type: "system.ClassificationMetrics",
      taskPath: "train",
      port: `p${index}`,
      metadata,
    })),
  });
const points = (...all: [number, number][]) =>
  all.map(([falsePositives, truePositives]) => ({ threshold: 0, falsePositives, truePositives }));

test("of which metrics a curve is from is said where a run has several", () => {
  const curve = { confidenceMetrics: CURVE };
  const { shown } = curvesOf([run("a", curve), run("", curve, {}, curve), run("c", {})], 10);
  expect(shown.map(({ run, of }) => [run, of])).toEqual([["a", ""], ["id", "train / p0"], ["id", "train / p2"]]);
});

test("what is left out is counted", () => {
  const curve = { confidenceMetrics: CURVE };
  expect(curvesOf([run("a", curve, curve, curve)], 2)).toMatchObject({ shown: [{}, {}], more: 1 });
  const large = { confusionMatrix: matrix(100) };
  expect(matricesOf([run("a", large, large, large)])).toMatchObject({ shown: [{}, {}], more: 1 });
});

test("a curve that rises at one x keeps all its points, and others have a gap there", () => {
  const curves = [points([0, 0], [0.5, 0.2], [0.5, 0.9], [1, 1]), points([0, 0], [0.25, 0.5], [0.5, 0.6]), []];
  expect(aligned(curves)).toEqual([
    [0, 0.25, 0.5, 0.5, 1],
    [0, null, 0.2, 0.9, 1],
    [0, 0.5, 0.6, null, null],
    [null, null, null, null, null],
  ]);
});

test("each line of a chart looks different, in light and dark", () => {
  for (const scheme of ["light", "dark"] as const) {
    const looks = Array.from({ length: MOST_LINES }, (_, line) => JSON.stringify(look(line, scheme)));
    expect(new Set(looks).size).toBe(MOST_LINES);
  }
  expect(MOST_LINES).toBeGreaterThanOrEqual(20);
});
