/** What a page asks the server for about attempts: those of the tasks in sight, and what all of a run did over time. */
import type { Timeline } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";

import type { Seen } from "../run/seen";
import { POLL_MS, penstock } from "../server";
import { millis } from "../time";
import { Batch } from "./batch";
import { binsGiven, binsOf, type Bins } from "./bins";
import { chainOf, type Step } from "./critical";
import { isOpen, triedOf, type Tried } from "./phases";

const NONE: readonly Tried[] = [];
const BINS = 240;
// A tenth of the time at most goes into answers.
const REST_BY_WORK = 9;

const batch = new Batch<readonly Tried[]>(async (runId, paths) => {
  const { attempts } = await penstock.insight.listAttempts({ runId, paths: [...paths] });
  return new Map(
    [...Map.groupBy(attempts, ({ path }) => path)].map(([path, own]) => [path, own.map(triedOf)] as const),
  );
}, NONE);

/** Attempts of a task, by number; asked for anew with each of its changes, and while one is open. */
export function useAttempts(runId: string, { path, version, kind }: Seen): readonly Tried[] {
  const { data } = useQuery({
    queryKey: ["attempts", runId, path, version],
    // Nothing else has any.
    queryFn: kind === "container" ? ({ signal }) => batch.ask(runId, path, signal) : skipToken,
    placeholderData: keepPreviousData,
    staleTime: ({ state }) => (state.data?.some(isOpen) ? POLL_MS : Infinity),
    gcTime: 60_000,
    refetchInterval: ({ state }) => (state.data?.some(isOpen) ? POLL_MS : false),
  });
  return data ?? NONE;
}

export interface Overall {
  readonly total: number;
  readonly bins: Bins;
  readonly chain: readonly Step[];
}

/** Asked for again while the run `goesOn`. */
export function useTimeline(runId: string, goesOn: boolean, wanted: boolean) {
  return useQuery({
    queryKey: ["timeline", runId, goesOn],
    queryFn: wanted
      ? async ({ signal }) => {
          const began = performance.now();
          const found = await penstock.insight.getTimeline({ runId, maxAttempts: 1, maxBins: BINS }, { signal });
          return { ...overallOf(found), took: performance.now() - began };
        }
      : skipToken,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => goesOn && Math.max(POLL_MS, REST_BY_WORK * (state.data?.took ?? 0)),
  });
}

export function overallOf({ from, to, totalAttempts, attempts, bins, criticalPath }: Timeline): Overall {
  const [begin, end] = [millis(from) ?? 0, millis(to) ?? 0];
  const spans = attempts.flatMap((attempt) => triedOf(attempt).spans);
  return {
    total: totalAttempts,
    bins: bins.length > 0 ? binsGiven(bins, begin, end) : binsOf(spans, begin, end, BINS),
    chain: chainOf(criticalPath, begin, end),
  };
}
