/** The pipeline of a run, or of what makes runs: the stored one by its name, else what the document calls itself. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useQuery } from "@tanstack/react-query";

import { TextLink } from "../components/links";
import { useNamespace } from "../components/namespace";
import { penstock } from "../server";

export function PipelineName({ run }: { run: Pick<Run, "pipelineSource"> }) {
  const namespace = useNamespace();
  const source = run.pipelineSource;
  const pipelineId = source.case === "pipelineVersionReference" ? source.value.pipelineId : "";
  const pipeline = useQuery({
    queryKey: ["pipeline", pipelineId],
    queryFn: ({ signal }) => penstock.pipelines.getPipeline({ pipelineId }, { signal }),
    enabled: pipelineId !== "",
    staleTime: Infinity,
  });
  const own = source.case === "pipelineSpec" ? nameIn(source.value) : "";
  if (!pipeline.data) return <span>{own || "–"}</span>;
  return (
    <TextLink size="sm" to="/pipelines/$pipelineId" params={{ pipelineId }} search={namespace}>
      {pipeline.data.displayName}
    </TextLink>
  );
}

function nameIn(document: JsonObject): string {
  const spec = (document.pipeline_spec ?? document) as JsonObject;
  const info = spec.pipelineInfo as JsonObject | undefined;
  return typeof info?.name === "string" ? info.name : "";
}
