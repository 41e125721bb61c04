/** The pipeline of a run, or of what makes runs: the stored one by its name, else what the document calls itself. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useQuery } from "@tanstack/react-query";

import { penstock } from "../server";

export function PipelineName({ run }: { run: Pick<Run, "pipelineSource"> }) {
  const source = run.pipelineSource;
  const pipelineId = source.case === "pipelineVersionReference" ? source.value.pipelineId : "";
  const pipeline = useQuery({
    queryKey: ["pipeline", pipelineId],
    queryFn: ({ signal }) => penstock.pipelines.getPipeline({ pipelineId }, { signal }),
    enabled: pipelineId !== "",
    staleTime: Infinity,
  });
  const own = source.case === "pipelineSpec" ? nameIn(source.value) : "";
  return <span>{pipeline.data?.displayName || own || "–"}</span>;
}

function nameIn(document: JsonObject): string {
  const spec = (document.pipeline_spec ?? document) as JsonObject;
  const info = spec.pipelineInfo as JsonObject | undefined;
  return typeof info?.name === "string" ? info.name : "";
}
