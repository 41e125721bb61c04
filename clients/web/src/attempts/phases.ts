/** The phases of an attempt, in the order in which they follow one another, and how long it was in each. */
import { AttemptPhase, type Attempt } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

/** Each is the key of its name, and of its colour in Attempts.module.css. */
export const PHASES = ["queued", "scheduling", "preparing", "fetching", "running", "storing", "concluding"] as const;
export type Phase = (typeof PHASES)[number];

export interface Span {
  readonly phase: Phase;
  /** Milliseconds since the epoch. */
  readonly start: number;
  /** Undefined while it lasts. */
  readonly end: number | undefined;
}

/** An attempt as it is shown. */
export interface Tried {
  readonly number: number;
  readonly state: string;
  readonly failure: string;
  readonly exitCode: number | undefined;
  readonly error: string;
  readonly podName: string;
  readonly node: string;
  /** What it ran in, in the executor's words. */
  readonly placement: string;
  readonly logUri: string;
  readonly spans: readonly Span[];
}

export type Sums = ReadonlyMap<Phase, number>;

/** A phase of a newer server, which has no name here, is left out. */
export function triedOf({ phases, ...attempt }: Attempt): Tried {
  const { number, state, failure, exitCode, error, podName, node, placement, logUri } = attempt;
  const spans = phases.flatMap(({ phase, start, end }): Span[] => {
    const named = phaseNamed(AttemptPhase[phase]);
    const at = millis(start);
    return named === undefined || at === undefined ? [] : [{ phase: named, start: at, end: millis(end) }];
  });
  return { number, state, failure, exitCode, error, podName, node, placement, logUri, spans };
}

/** By its name in the API, such as ATTEMPT_PHASE_RUNNING, of which generated code has the last word. */
export function phaseNamed(name: string | undefined): Phase | undefined {
  const own = name?.replace(/^ATTEMPT_PHASE_/, "").toLowerCase();
  return PHASES.find((phase) => phase === own);
}

export const isOpen = ({ spans }: Tried): boolean => spans.at(-1) !== undefined && spans.at(-1)?.end === undefined;

/** From its first moment to its last; what lasts goes on to `now`. */
export function extentOf({ spans }: Tried, now: number): { from: number; to: number } | undefined {
  const [first] = spans;
  if (!first) return undefined;
  const to = Math.max(...spans.map(({ start, end }) => Math.max(start, end ?? now)));
  return { from: first.start, to: Math.max(to, first.start + 1) };
}

/** Milliseconds in each phase it was in. */
export function sumsOf(spans: readonly Span[], now: number): Sums {
  const sums = new Map<Phase, number>();
  for (const { phase, start, end } of spans) {
    sums.set(phase, (sums.get(phase) ?? 0) + Math.max(0, (end ?? now) - start));
  }
  return sums;
}
