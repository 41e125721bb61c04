/** Where the filters by experiment, by pipeline and by run get their options. */
import { GetRunRequest_ViewMode } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { penstock } from "../server";
import { contains, filterText } from "./filter";
import type { Option } from "./Choice";

const OPTIONS = 20;

export interface Options {
  readonly find: (name: string, signal: AbortSignal) => Promise<Option[]>;
  readonly get: (id: string, signal: AbortSignal) => Promise<Option>;
}

const named = (name: string, namespace: string) => ({
  filter: filterText(contains("display_name", name)),
  sortBy: "created_at desc",
  pageSize: OPTIONS,
  namespace,
});

export const experiments = (namespace: string): Options => ({
  find: async (name, signal) => {
    const page = await penstock.experiments.listExperiments(named(name, namespace), { signal });
    return page.experiments.map(({ experimentId, displayName }) => ({ value: experimentId, label: displayName }));
  },
  get: async (experimentId, signal) => {
    const { displayName } = await penstock.experiments.getExperiment({ experimentId }, { signal });
    return { value: experimentId, label: displayName };
  },
});

export const pipelines = (namespace: string): Options => ({
  find: async (name, signal) => {
    const page = await penstock.pipelines.listPipelines(named(name, namespace), { signal });
    return page.pipelines.map(({ pipelineId, displayName }) => ({ value: pipelineId, label: displayName }));
  },
  get: async (pipelineId, signal) => {
    const { displayName } = await penstock.pipelines.getPipeline({ pipelineId }, { signal });
    return { value: pipelineId, label: displayName };
  },
});

export const runs = (namespace: string): Options => ({
  find: async (name, signal) => {
    const page = await penstock.runs.listRuns(named(name, namespace), { signal });
    return page.runs.map(({ runId, displayName }) => ({ value: runId, label: displayName }));
  },
  get: async (runId, signal) => {
    const { displayName } = await penstock.runs.getRun({ runId, view: GetRunRequest_ViewMode.BASIC }, { signal });
    return { value: runId, label: displayName };
  },
});
