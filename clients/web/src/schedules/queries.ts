/** What the pages of recurring runs ask the server for, and what they have it do. */
import { DeletePropagationPolicy } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { useNamespace } from "../components/namespace";
import { serverNow } from "../live/clock";
import { contains, equals, filterText } from "../runs/filter";
import { useRunsWatch } from "../runs/useRunsWatch";
import { penstock, POLL_MS } from "../server";
import { untilNext } from "./due";
import type { RecurringRunsSearch } from "./search";

const PAGE_SIZE = 50;
const RUNS_OF_A_PAGE = 20;
const ACTIVE = ["PENDING", "RUNNING", "CANCELING", "PAUSED"];

export type Action = "enable" | "disable" | "delete" | "deleteAndTerminate";

export function useRecurringRuns(search: RecurringRunsSearch) {
  const { name, page = "", namespace = "" } = search;
  return useQuery({
    queryKey: ["recurringRuns", search],
    queryFn: ({ signal }) =>
      penstock.recurringRuns.listRecurringRuns(
        {
          filter: filterText(contains("name", name)),
          pageSize: PAGE_SIZE,
          pageToken: page,
          namespace,
          sortBy: "created_at desc",
        },
        { signal },
      ),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });
}

export function useRecurringRun(recurringRunId: string) {
  return useQuery({
    queryKey: ["recurringRun", recurringRunId],
    queryFn: ({ signal }) => penstock.recurringRuns.getRecurringRun({ recurringRunId }, { signal }),
    refetchInterval: POLL_MS,
  });
}

/** Asked for again when the first of them has come, for a list may have many rows. */
export function useNextFires(recurringRunId: string, enabled: boolean, count: number) {
  return useQuery({
    queryKey: ["nextFires", recurringRunId, enabled, count],
    queryFn: ({ signal }) => penstock.insight.listNextFires({ recurringRunId, count }, { signal }),
    refetchInterval: ({ state }) => untilNext(state.data, serverNow(), POLL_MS),
    placeholderData: keepPreviousData,
  });
}

/** The runs that a recurring run has started, the latest first. */
export function useRunsOf(recurringRunId: string, page: string) {
  const { namespace = "" } = useNamespace();
  return useRunsWatch({
    filter: filterText(equals("recurring_run_id", recurringRunId)),
    namespace,
    pageSize: RUNS_OF_A_PAGE,
    pageToken: page,
    sortBy: "created_at desc",
  });
}

export function useAction(recurringRunId: string, done: (action: Action) => void) {
  const answers = useQueryClient();
  return useMutation({
    mutationFn: (action: Action) => act(recurringRunId, action),
    onSuccess: async (_, action) => {
      done(action);
      const stale = action.startsWith("delete") ? ["recurringRuns"] : ["recurringRuns", "recurringRun", "nextFires"];
      await Promise.all(stale.map((key) => answers.invalidateQueries({ queryKey: [key] })));
    },
  });
}

function act(recurringRunId: string, action: Action) {
  if (action === "enable") return penstock.recurringRuns.enableRecurringRun({ recurringRunId });
  if (action === "disable") return penstock.recurringRuns.disableRecurringRun({ recurringRunId });
  const terminate = action === "deleteAndTerminate";
  const propagationPolicy = terminate ? DeletePropagationPolicy.FOREGROUND : DeletePropagationPolicy.ORPHAN;
  return penstock.recurringRuns.deleteRecurringRun({ recurringRunId, propagationPolicy });
}

/** How many runs of a recurring run have not ended: a fire waits while there are as many as it may have. */
export function useActiveRuns(recurringRunId: string, wanted: boolean) {
  const { namespace = "" } = useNamespace();
  const filter = filterText([
    ...equals("recurring_run_id", recurringRunId),
    { operation: "IN", key: "state", string_values: { values: ACTIVE } },
  ]);
  return useQuery({
    queryKey: ["activeRuns", recurringRunId, namespace],
    queryFn: async ({ signal }) =>
      (await penstock.runs.listRuns({ filter, namespace, pageSize: 1 }, { signal })).totalSize,
    refetchInterval: POLL_MS,
    enabled: wanted,
  });
}
