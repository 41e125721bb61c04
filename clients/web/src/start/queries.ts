/** What the page that starts a run asks the server for. */
import { Experiment_StorageState } from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import type { Arguments, Source, Texts } from "./request";

const EXPERIMENTS = 200;

export function useExperiments(namespace: string) {
  return useQuery({
    queryKey: ["experiments", "of a start", namespace],
    queryFn: ({ signal }) =>
      penstock.experiments.listExperiments(
        { namespace, pageSize: EXPERIMENTS, sortBy: "created_at desc" },
        { signal },
      ),
    select: ({ experiments }) => experiments.filter((one) => one.storageState !== Experiment_StorageState.ARCHIVED),
    retry: false,
  });
}

/** `id` stands for the source, `texts` for the arguments that were made of them. */
export function usePlan(id: string, source: Source, texts: Texts, { values, wrong }: Arguments, namespace: string) {
  return useQuery({
    queryKey: ["plan", id, texts, namespace],
    queryFn: ({ signal }) =>
      penstock.insight.planPipeline(
        {
          parameters: values,
          namespace,
          ...(source.kind === "version"
            ? { pipelineVersionId: source.pipelineVersionId }
            : { pipelineSpec: source.document }),
        },
        { signal },
      ),
    enabled: wrong.size === 0,
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 0,
  });
}
