/** What the page of a pipeline asks before it changes something: for a package, or whether it is meant. */
import type { Pipeline, PipelineVersion } from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";

import { penstock } from "../server";
import { useText } from "../text/language";
import { AddPackage } from "./AddPackage";
import { Confirm } from "./Confirm";
import { addVersion } from "./upload";

/** Without a version the pipeline is deleted. */
export type Asked = { readonly to: "add" } | { readonly to: "delete"; readonly version?: PipelineVersion } | undefined;

interface Props {
  readonly asked: Asked;
  readonly pipeline: Pipeline;
  readonly close: () => void;
  /** `version` is the one to show, the newest unless it is given. */
  readonly changed: (version?: string) => Promise<void>;
  readonly gone: () => Promise<void>;
}

export function Dialog({ asked, pipeline, close, changed, gone }: Props) {
  const text = useText();
  const { pipelineId } = pipeline;
  if (!asked) return null;
  if (asked.to === "add") {
    const add = async (added: Parameters<typeof addVersion>[0]) =>
      changed((await addVersion(added, pipelineId)).pipelineVersionId);
    return <AddPackage title={text("addVersion")} close={close} add={add} />;
  }
  const { version } = asked;
  if (version) {
    const { pipelineVersionId, displayName } = version;
    const act = async () => {
      await penstock.pipelines.deletePipelineVersion({ pipelineId, pipelineVersionId });
      await changed();
    };
    const said = { title: text("deleteVersion"), name: displayName, question: text("deleteVersionAsks") };
    return <Confirm {...said} {...{ close, act }} />;
  }
  const act = async () => {
    await penstock.pipelines.deletePipeline({ pipelineId, cascade: true });
    await gone();
  };
  const said = { title: text("deletePipeline"), name: pipeline.displayName, question: text("deletePipelineAsks") };
  return <Confirm {...said} {...{ close, act }} />;
}
