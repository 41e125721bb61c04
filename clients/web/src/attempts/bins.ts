/** What the attempts of a run did over time: for each of some bins of equal length, how many were in which phase. */
import type { TimelineBin } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";
import { PHASES, phaseNamed, type Phase, type Span, type Sums } from "./phases";

export interface Bins {
  readonly from: number;
  readonly binMillis: number;
  /** For each phase that occurs, how many attempts were in it, on the average over each bin. */
  readonly counts: ReadonlyMap<Phase, readonly number[]>;
  readonly size: number;
}

/** As the server gives them: the last may go on beyond `to`. */
export function binsGiven(given: readonly TimelineBin[], from: number, to: number): Bins {
  const counts = new Map<Phase, number[]>();
  for (const [index, { attempts }] of given.entries()) {
    for (const [name, count] of Object.entries(attempts)) {
      const phase = phaseNamed(name);
      if (phase !== undefined) row(counts, phase, given.length)[index] = count;
    }
  }
  const [first = from, second = to] = given.slice(0, 2).map(({ start }) => millis(start));
  return { from: first, binMillis: Math.max(1, second - first), counts, size: given.length };
}

/** Of attempts that are given one by one; what lasts goes on to `to`. */
export function binsOf(spans: Iterable<Span>, from: number, to: number, size: number): Bins {
  const counts = new Map<Phase, number[]>();
  const binMillis = Math.max(1, to - from) / size;
  for (const { phase, start, end } of spans) {
    const begin = Math.max(0, (start - from) / binMillis);
    const over = Math.min(size, ((end ?? to) - from) / binMillis);
    for (let bin = Math.floor(begin); bin < over; bin += 1) {
      const found = row(counts, phase, size);
      found[bin] = (found[bin] ?? 0) + Math.min(over, bin + 1) - Math.max(begin, bin);
    }
  }
  return { from, binMillis, counts, size };
}

/** Milliseconds in each phase, over all attempts. */
export function sumsOfBins({ counts, binMillis }: Bins): Sums {
  return new Map([...counts].map(([phase, values]) => [phase, values.reduce((sum, one) => sum + one, 0) * binMillis]));
}

/** One above the other, the first phase at the bottom; with zero where a phase does not occur. */
export function stacked({ counts, size }: Bins): readonly (readonly number[])[] {
  const sum = new Array<number>(size).fill(0);
  return PHASES.map((phase) => {
    const own = counts.get(phase);
    for (let bin = 0; own && bin < size; bin += 1) sum[bin] = (sum[bin] ?? 0) + (own[bin] ?? 0);
    return [...sum];
  });
}

function row(counts: Map<Phase, number[]>, phase: Phase, size: number): number[] {
  const known = counts.get(phase) ?? new Array<number>(size).fill(0);
  counts.set(phase, known);
  return known;
}
