/** What the start page asks the server for while it is looked at. Few runs each time, chosen and ordered by the server.
 * Those that are under way come over a stream; the others are asked for every few seconds, so that a page has one. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useNamespace } from "../components/namespace";
import { serverNow } from "../live/clock";
import { useRunsWatch } from "../runs/useRunsWatch";
import { penstock } from "../server";
import { failedLately, goingOn, pending } from "./filters";

export const EVERY_MS = 4_000;
const SHOWN = 10;
const EXPLAINED = 5;

/** `filter` is made anew each time, for it may have the time in it. */
function useRuns(what: string, filter: () => string, pageSize: number, sortBy: string, enabled = true) {
  const { namespace = "" } = useNamespace();
  return useQuery({
    queryKey: ["runs", what, namespace],
    queryFn: ({ signal }) => penstock.runs.listRuns({ filter: filter(), namespace, pageSize, sortBy }, { signal }),
    refetchInterval: EVERY_MS,
    placeholderData: keepPreviousData,
    enabled,
  });
}

export function useRunsNow() {
  const { namespace = "" } = useNamespace();
  return useRunsWatch({ filter: goingOn(), namespace, pageSize: SHOWN, sortBy: "created_at desc" });
}

export const useFailedRuns = () => useRuns("failed", () => failedLately(serverNow()), SHOWN, "finished_at desc");
/** Those that have waited longest. */
export const usePendingRuns = () => useRuns("pending", pending, EXPLAINED, "created_at asc");
/** Asked only where it is needed: whether there is any run at all. */
export const useAnyRun = (enabled: boolean) => useRuns("any", () => "", 1, "created_at desc", enabled);

export function useWhy(runId: string) {
  return useQuery({
    queryKey: ["why", runId, "waiting"],
    queryFn: ({ signal }) => penstock.insight.explainTask({ runId }, { signal }),
    refetchInterval: EVERY_MS,
  });
}
