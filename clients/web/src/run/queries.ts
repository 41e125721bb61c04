/** What the page of a run asks the server for, beside the stream of its changes. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { pages } from "@penstock/client/index.js";
import { skipToken, useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import type { Seen } from "./seen";

// The server's own bound.
const LONGEST_TEXT = 256;

/** With its pipeline, which a watch leaves out; tasks are the watch's. */
export function useRun(runId: string) {
  return useQuery({
    queryKey: ["run", runId],
    queryFn: ({ signal }) => penstock.runs.getRun({ runId, withoutTasks: true }, { signal }),
    staleTime: Infinity,
  });
}

/** All that is known of one task, asked for anew with each of its changes. */
export function useTask(runId: string, seen: Seen | undefined) {
  return useQuery({
    queryKey: ["task", runId, seen?.path, seen?.version],
    queryFn: seen ? ({ signal }) => taskOf(runId, seen, signal) : skipToken,
    placeholderData: (old) => (old?.path === seen?.path ? old : undefined),
  });
}

async function taskOf(runId: string, { path, parentPath }: Seen, signal: AbortSignal): Promise<Task | null> {
  const siblings = pages(
    (pageToken) =>
      penstock.insight.listTasks(
        { runId, parentPath, text: path.slice(-LONGEST_TEXT), pageSize: 1000, pageToken },
        { signal },
      ),
    ({ tasks }) => tasks,
  );
  for await (const task of siblings) if (task.path === path) return task;
  return null;
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
