/** What a run is started from: a version of a pipeline, or what another run was made from. */
import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";
import type { StartSearch } from "../pipelines/search";
import type { Source } from "./request";

export interface Origin {
  readonly source: Source;
  readonly document: JsonObject;
  /** Name of the pipeline. */
  readonly name: string;
  /** The run that is run again. */
  readonly again: Run | undefined;
  /** Where the run will be, as far as that is known. */
  readonly namespace: string;
}

export function useOrigin(search: StartSearch) {
  return useQuery({
    queryKey: ["origin", search],
    queryFn: ({ signal }) => (search.clone ? ofRun(search.clone, search, signal) : ofPipeline(search, signal)),
    enabled: Boolean(search.clone ?? search.pipeline),
    // What is typed belongs to this document, and stays when another version is added meanwhile.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}

async function ofRun(runId: string, search: StartSearch, signal: AbortSignal): Promise<Origin> {
  const again = await penstock.runs.getRun({ runId, withoutTasks: true }, { signal });
  const namespace = search.namespace ?? (await namespaceOf(again.experimentId, signal));
  const from = again.pipelineSource;
  if (from.case === "pipelineVersionReference") {
    const { pipelineId: pipeline, pipelineVersionId: version } = from.value;
    const stored = await ofPipeline({ pipeline, version }, signal).catch(unlessItIsGone);
    if (stored) return { ...stored, again, namespace };
  }
  const document = from.case === "pipelineSpec" ? from.value : await documentOf(runId, signal);
  return { source: { kind: "document", document }, document, name: nameIn(document), again, namespace };
}

async function namespaceOf(experimentId: string, signal: AbortSignal): Promise<string> {
  // It may be gone; then the server says so when the run is started.
  const experiment = await penstock.experiments.getExperiment({ experimentId }, { signal }).catch(() => undefined);
  return experiment?.namespace ?? "";
}

async function ofPipeline(search: StartSearch, signal: AbortSignal): Promise<Origin> {
  const { pipeline = "", version } = search;
  const { displayName, namespace } = await penstock.pipelines.getPipeline({ pipelineId: pipeline }, { signal });
  const found = version
    ? await penstock.pipelines.getPipelineVersion({ pipelineId: pipeline, pipelineVersionId: version }, { signal })
    : await newestOf(pipeline, signal);
  const { pipelineId, pipelineVersionId, pipelineSpec: document = {} } = found;
  const source: Source = { kind: "version", pipelineId, pipelineVersionId };
  return { source, document, name: displayName, again: undefined, namespace: search.namespace ?? namespace };
}

/** Undefined for what is not there any more. */
function unlessItIsGone(error: unknown): undefined {
  if (ConnectError.from(error).code !== Code.NotFound) throw error;
}

/** What a run executes, whose version is gone: the first line of its event log has it. */
async function documentOf(runId: string, signal: AbortSignal): Promise<JsonObject> {
  const decoder = new TextDecoder();
  let head = "";
  for await (const { data } of penstock.insight.readEventLog({ runId }, { signal })) {
    head += decoder.decode(data, { stream: true });
    if (head.includes("\n")) break;
  }
  const { pipeline_spec = null, platform_spec }: JsonObject = JSON.parse(head.split("\n", 1)[0] ?? "");
  if (platform_spec) return { pipeline_spec, platform_spec };
  return isObject(pipeline_spec) ? pipeline_spec : {};
}

async function newestOf(pipelineId: string, signal: AbortSignal) {
  const asked = { pipelineId, pageSize: 1, sortBy: "created_at desc" };
  const [newest] = (await penstock.pipelines.listPipelineVersions(asked, { signal })).pipelineVersions;
  // The server says that there is none, in its words.
  return newest ?? penstock.pipelines.getPipelineVersion({ pipelineId }, { signal });
}

function nameIn(document: JsonObject): string {
  for (const spec of [document.pipeline_spec, document]) {
    const info = isObject(spec) ? spec.pipelineInfo : undefined;
    if (isObject(info) && typeof info.name === "string") return info.name;
  }
  return "";
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
