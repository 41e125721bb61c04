/** Metrics as the SDK writes them into an artifact's metadata. Tasks write it: what has another form is left out, and
 * what is more than a reader could look at, too. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

const MOST_SCALARS = 1000;
const MOST_SLICES = 50;
const MOST_POINTS = 10_000;
const MOST_CLASSES = 100;

export interface Point {
  readonly threshold: number;
  readonly falsePositives: number;
  readonly truePositives: number;
}

export interface Matrix {
  readonly labels: readonly string[];
  readonly rows: readonly (readonly number[])[];
}

export interface Classification {
  readonly name: string;
  readonly curve: readonly Point[];
  readonly matrix: Matrix | undefined;
}

export function scalars(metadata: JsonObject | undefined): readonly (readonly [string, string])[] {
  return Object.entries(metadata ?? {}).slice(0, MOST_SCALARS).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
}

/** One, or one of each slice. */
export function classifications(type: string, metadata: JsonObject | undefined): readonly Classification[] {
  if (type !== "system.SlicedClassificationMetrics") return [classification("", metadata)];
  return list(metadata?.evaluationSlices).slice(0, MOST_SLICES).map((slice) => {
    const { slice: name, sliceClassificationMetrics } = object(slice);
    return classification(typeof name === "string" ? name : "", object(sliceClassificationMetrics));
  });
}

/** By trapezoids, from the left. */
export function areaUnder(curve: readonly Point[]): number {
  return curve.slice(1).reduce((area, { falsePositives, truePositives }, index) => {
    const before = curve[index];
    if (before === undefined) return area;
    return area + ((falsePositives - before.falsePositives) * (truePositives + before.truePositives)) / 2;
  }, 0);
}

function classification(name: string, metadata: JsonObject | undefined): Classification {
  return { name, curve: curveIn(metadata?.confidenceMetrics), matrix: matrixIn(metadata?.confusionMatrix) };
}

function curveIn(value: JsonValue | undefined): readonly Point[] {
  return list(value)
    .slice(0, MOST_POINTS)
    .map(object)
    .flatMap(({ confidenceThreshold, falsePositiveRate = 0, recall = 0 }) =>
      typeof falsePositiveRate === "number" && typeof recall === "number"
        ? [{ threshold: Number(confidenceThreshold ?? 0), falsePositives: falsePositiveRate, truePositives: recall }]
        : [],
    )
    .sort((a, b) => a.falsePositives - b.falsePositives || a.truePositives - b.truePositives);
}

function matrixIn(value: JsonValue | undefined): Matrix | undefined {
  const { annotationSpecs, rows } = object(value);
  const labels = list(annotationSpecs).slice(0, MOST_CLASSES).map((spec) => String(object(spec).displayName ?? ""));
  if (labels.length === 0) return undefined;
  return { labels, rows: list(rows).slice(0, MOST_CLASSES).map((row) => list(object(row).row).map(Number)) };
}

function list(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function object(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
