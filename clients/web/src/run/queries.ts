/** What the page of a run asks the server for; it stops asking once the run has ended. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";
import { useQuery } from "@tanstack/react-query";

import { penstock, POLL_MS } from "../server";

export function useRun(runId: string) {
  return useQuery({
    queryKey: ["run", runId],
    queryFn: ({ signal }) => penstock.runs.getRun({ runId }, { signal }),
    refetchInterval: ({ state }) => (state.data && ended(state.data.state) ? false : POLL_MS),
  });
}

/** `final` asks once more when the run has ended, for what was written last. */
export function useTasks(runId: string, final: boolean) {
  return useQuery({
    queryKey: ["tasks", runId, final],
    queryFn: async ({ signal }) => (await penstock.insight.listTasks({ runId }, { signal })).tasks,
    refetchInterval: final ? false : POLL_MS,
    placeholderData: (old) => old,
  });
}

export function useExplanation(runId: string, task: string, state: string) {
  return useQuery({
    queryKey: ["why", runId, task, state],
    queryFn: ({ signal }) => penstock.insight.explainTask({ runId, task }, { signal }),
  });
}

/** The document that the run was made from. */
export function useDocument(run: Run) {
  return useQuery({
    queryKey: ["document", run.runId],
    queryFn: async ({ signal }): Promise<JsonObject> => {
      const source = run.pipelineSource;
      if (source.case === "pipelineSpec") return source.value;
      if (source.case !== "pipelineVersionReference") return {};
      const { pipelineId, pipelineVersionId } = source.value;
      const version = await penstock.pipelines.getPipelineVersion({ pipelineId, pipelineVersionId }, { signal });
      return version.pipelineSpec ?? {};
    },
    staleTime: Infinity,
  });
}
