/** The ROC curves and confusion matrices of runs, as many of them as a reader, and a browser, could look at. A run that
 * has several says of which of its metrics each is. */
import type { Artifact, ComparedRun } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { classifications, type Matrix, type Point } from "../artifacts/metrics";

const MOST_MATRICES = 40;
const MOST_MATRIX_CELLS = 20_000;

/** Something of a run. `of` says which of its metrics it is from, where there are several. */
export interface Named<T> {
  readonly run: string;
  readonly of: string;
  readonly value: T;
}

export interface Shown<T> {
  readonly shown: readonly Named<T>[];
  /** How many more there are. */
  readonly more: number;
}

export function curvesOf(runs: readonly ComparedRun[], most: number): Shown<readonly Point[]> {
  const found = runs.flatMap((run) => each(run, ({ curve }) => (curve.length > 0 ? curve : undefined)));
  return { shown: found.slice(0, most), more: Math.max(0, found.length - most) };
}

export function matricesOf(runs: readonly ComparedRun[]): Shown<Matrix> {
  const found = runs.flatMap((run) => each(run, ({ matrix }) => matrix));
  let cells = 0;
  const shown = found.slice(0, MOST_MATRICES).filter(({ value }) => {
    cells += value.labels.length ** 2;
    return cells <= MOST_MATRIX_CELLS;
  });
  return { shown, more: found.length - shown.length };
}

function each<T>(
  { run, classificationMetrics }: ComparedRun,
  take: (of: ReturnType<typeof classifications>[number]) => T | undefined,
): Named<T>[] {
  const found = classificationMetrics.flatMap((artifact) =>
    classifications(artifact.type, artifact.metadata).flatMap((one) => {
      const value = take(one);
      const name = run?.displayName || run?.runId || "";
      return value === undefined ? [] : [{ run: name, of: told(artifact, one.name), value }];
    }),
  );
  return found.length > 1 ? found : found.map((one) => ({ ...one, of: "" }));
}

const told = ({ taskPath, port }: Artifact, slice: string): string =>
  [taskPath, port, slice].filter(Boolean).join(" / ");
