/** What the pages of experiments ask the server for. */
import {
  Experiment_StorageState as StorageState,
  type Experiment,
} from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";
import { ended } from "@penstock/client/index.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { contains, filterText, storagePredicate } from "../runs/filter";
import type { ExperimentsSearch } from "../search";
import { penstock, POLL_MS } from "../server";
import { millis } from "../time";

const PAGE_SIZE = 20;
// They change seldom.
const SLOW_POLL_MS = 10_000;

export const isArchived = (one: Experiment): boolean => one.storageState === StorageState.ARCHIVED;

export function useExperiments(search: ExperimentsSearch) {
  return useQuery({
    queryKey: ["experiments", search],
    queryFn: ({ signal }) =>
      penstock.experiments.listExperiments(
        {
          filter: filterText([...storagePredicate(search.storage), ...contains("display_name", search.name)]),
          pageSize: PAGE_SIZE,
          pageToken: search.page ?? "",
          namespace: search.namespace ?? "",
          sortBy: "created_at desc",
        },
        { signal },
      ),
    refetchInterval: SLOW_POLL_MS,
    placeholderData: keepPreviousData,
  });
}

export function useExperiment(experimentId: string) {
  return useQuery({
    queryKey: ["experiment", experimentId],
    queryFn: ({ signal }) => penstock.experiments.getExperiment({ experimentId }, { signal }),
  });
}

/** The last run and the number of all: one row and one count on an index, for the experiments of a page only. */
export function useLastRun({ experimentId, lastRunCreatedAt }: Experiment) {
  const at = millis(lastRunCreatedAt);
  return useQuery({
    queryKey: ["last run", experimentId, at],
    queryFn: async ({ signal }) => {
      const request = { experimentId, pageSize: 1, sortBy: "created_at desc" };
      const { runs, totalSize } = await penstock.runs.listRuns(request, { signal });
      return { run: runs[0], total: totalSize };
    },
    enabled: at !== undefined,
    staleTime: SLOW_POLL_MS,
    refetchInterval: ({ state }) => (state.data?.run && !ended(state.data.run.state) ? POLL_MS : false),
  });
}
