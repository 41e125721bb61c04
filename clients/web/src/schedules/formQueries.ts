/** What the form of a new recurring run asks the server for: choices, when it would fire, and to make it. */
import { pages } from "@penstock/client/index.js";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";

import { useOnce } from "../components/useOnce";
import { penstock } from "../server";
import { requestOf, type Chosen, type Draft, type TriggerInit } from "./draft";
import { definitionsIn, type Found } from "./parameters";

const PAGE_SIZE = 200;
const MOST_CHOICES = 1000;
const FIRES = 10;

async function upTo<T>(most: number, items: AsyncGenerator<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) {
    found.push(item);
    if (found.length === most) break;
  }
  return found;
}

export function usePipelines(namespace: string) {
  return useQuery({
    queryKey: ["pipelineChoices", namespace],
    queryFn: ({ signal }) => {
      const request = { namespace, pageSize: PAGE_SIZE, sortBy: "created_at desc" };
      const page = (pageToken: string) => penstock.pipelines.listPipelines({ ...request, pageToken }, { signal });
      return upTo(MOST_CHOICES, pages(page, (found) => found.pipelines));
    },
  });
}

/** The newest first, so that the first is the one that the latest means now. */
export function useVersions(pipelineId: string) {
  return useQuery({
    queryKey: ["versionChoices", pipelineId],
    queryFn: ({ signal }) => {
      const request = { pipelineId, pageSize: PAGE_SIZE, sortBy: "created_at desc" };
      return penstock.pipelines.listPipelineVersions(request, { signal });
    },
    enabled: pipelineId !== "",
  });
}

export function useDefinitions({ pipelineId, pipelineVersionId }: Chosen) {
  return useQuery({
    queryKey: ["definitions", pipelineId, pipelineVersionId],
    queryFn: async ({ signal }) => {
      const version = await penstock.pipelines.getPipelineVersion({ pipelineId, pipelineVersionId }, { signal });
      return definitionsIn(version.pipelineSpec);
    },
    enabled: pipelineId !== "" && pipelineVersionId !== "",
    staleTime: Infinity,
  });
}

export function useExperiments(namespace: string) {
  return useQuery({
    queryKey: ["experimentChoices", namespace],
    queryFn: ({ signal }) => {
      const request = { namespace, pageSize: PAGE_SIZE, sortBy: "created_at desc" };
      const page = (pageToken: string) => penstock.experiments.listExperiments({ ...request, pageToken }, { signal });
      return upTo(MOST_CHOICES, pages(page, (found) => found.experiments));
    },
  });
}

export function usePreview(trigger: TriggerInit | undefined) {
  return useQuery({
    queryKey: ["previewFires", JSON.stringify(trigger, (_, value) => (typeof value === "bigint" ? `${value}` : value))],
    queryFn: ({ signal }) => penstock.insight.previewFires({ ...(trigger && { trigger }), count: FIRES }, { signal }),
    enabled: trigger !== undefined,
    placeholderData: keepPreviousData,
  });
}

export function useCreation(created: (recurringRunId: string) => Promise<void>) {
  const answers = useQueryClient();
  return useOnce({
    mutationFn: ({ draft, chosen, found }: { draft: Draft; chosen: Chosen; found: Found }) =>
      penstock.recurringRuns.createRecurringRun({ recurringRun: requestOf(draft, chosen, found.parameters) }),
    onSuccess: async ({ recurringRunId }) => {
      await answers.invalidateQueries({ queryKey: ["recurringRuns"] });
      await created(recurringRunId);
    },
  });
}
