/** What the pages of pipelines ask the server for, and the names under which the answers are kept. */
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import { filterOf, type PipelinesSearch } from "./search";

// A row asks for its newest version, which the server gives with its whole document.
const PAGE_SIZE = 20;

export function usePipelines(search: PipelinesSearch) {
  return useQuery({
    queryKey: ["pipelines", search],
    queryFn: ({ signal }) =>
      penstock.pipelines.listPipelines(
        {
          filter: filterOf(search),
          pageSize: PAGE_SIZE,
          pageToken: search.page ?? "",
          namespace: search.namespace ?? "",
          sortBy: "created_at desc",
        },
        { signal },
      ),
    placeholderData: (old) => old,
  });
}

export function usePipeline(pipelineId: string) {
  return useQuery({
    queryKey: ["pipeline", pipelineId],
    queryFn: ({ signal }) => penstock.pipelines.getPipeline({ pipelineId }, { signal }),
    enabled: pipelineId !== "",
  });
}

/** The newest first; none when the pipeline has none. */
export function useVersions(pipelineId: string, pageSize: number, pageToken = "") {
  return useQuery({
    queryKey: ["versions", pipelineId, pageSize, pageToken],
    queryFn: ({ signal }) =>
      penstock.pipelines.listPipelineVersions(
        { pipelineId, pageSize, pageToken, sortBy: "created_at desc" },
        { signal },
      ),
    enabled: pipelineId !== "",
  });
}

export function useVersion(pipelineId: string, pipelineVersionId: string) {
  return useQuery({
    queryKey: ["version", pipelineId, pipelineVersionId],
    queryFn: ({ signal }) =>
      penstock.pipelines.getPipelineVersion({ pipelineId, pipelineVersionId }, { signal }),
    enabled: pipelineId !== "" && pipelineVersionId !== "",
  });
}
