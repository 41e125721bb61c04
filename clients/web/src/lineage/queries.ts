/** What the pages of artifacts and of their lineage ask the server for. */
import { GetLineageRequest_Direction as Way } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { filterText } from "../runs/filter";
import { penstock } from "../server";
import { USUAL_DEPTH, type ArtifactsSearch, type Direction, type LineageSearch } from "./search";

const PAGE_SIZE = 50;
const WAYS: Readonly<Record<Direction, Way>> = {
  both: Way.BOTH,
  backwards: Way.BACKWARDS,
  forwards: Way.FORWARDS,
};

export function useLineage({ artifact, run, task, direction = "both", depth = USUAL_DEPTH }: LineageSearch) {
  return useQuery({
    queryKey: ["lineage", artifact, run, task, direction, depth],
    queryFn: ({ signal }) =>
      penstock.insight.getLineage(
        { artifact: artifact ?? "", runId: run ?? "", path: task ?? "", direction: WAYS[direction], depth },
        { signal },
      ),
    enabled: artifact !== undefined || task !== undefined,
    placeholderData: keepPreviousData,
  });
}

export function useArtifacts({ type, run, page, namespace }: ArtifactsSearch) {
  return useQuery({
    queryKey: ["artifacts", type, run, page, namespace],
    queryFn: ({ signal }) =>
      penstock.insight.listArtifacts(
        {
          type: type ?? "",
          runId: run ?? "",
          pageSize: PAGE_SIZE,
          pageToken: page ?? "",
          namespace: namespace ?? "",
        },
        { signal },
      ),
    placeholderData: keepPreviousData,
  });
}

/** Names of runs by their ids, asked for all at once. */
export function useRunNames(ids: readonly string[], namespace: string) {
  return useQuery({
    queryKey: ["run names", ids, namespace],
    queryFn: async ({ signal }): Promise<ReadonlyMap<string, string>> => {
      const among = { operation: "IN", key: "run_id", string_values: { values: ids } } as const;
      const page = await penstock.runs.listRuns(
        { filter: filterText([among]), pageSize: PAGE_SIZE, namespace },
        { signal },
      );
      return new Map(page.runs.map(({ runId, displayName }) => [runId, displayName]));
    },
    enabled: ids.length > 0,
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}
