/**
 * Adds pipelines and versions, from a file or from an address that the server fetches.
 *
 * A file goes to the route that the kfp SDK uses: multipart, with what describes it in the query. What the server says
 * against it is thrown in its own words.
 */
import { fromJson } from "@bufbuild/protobuf";
import {
  PipelineSchema,
  PipelineVersionSchema,
  type Pipeline,
  type PipelineVersion,
} from "@penstock/client/gen/penstock_api/v2beta1/pipeline_pb.js";

import { penstock } from "../server";
import { complaint, lastPart } from "./words";

export interface Package {
  /** A file, or the address of one. */
  readonly source: File | string;
  /** Empty: as the file is called. */
  readonly name: string;
  readonly description: string;
  readonly codeSource: string;
}

export async function addPipeline(added: Package, namespace: string): Promise<Pipeline> {
  const { source, name, description, codeSource } = added;
  if (typeof source !== "string") {
    const sent = await post("/apis/v2beta1/pipelines/upload", source, { ...described(added), namespace });
    return fromJson(PipelineSchema, sent, { ignoreUnknownFields: true });
  }
  return penstock.pipelines.createPipelineAndVersion({
    pipeline: { displayName: name, description, namespace },
    pipelineVersion: { packageUrl: { pipelineUrl: source }, codeSourceUrl: codeSource },
  });
}

export async function addVersion(added: Package, pipelineId: string): Promise<PipelineVersion> {
  const { source, name, description, codeSource } = added;
  if (typeof source !== "string") {
    const query = { ...described(added), pipelineid: pipelineId };
    const sent = await post("/apis/v2beta1/pipelines/upload_version", source, query);
    return fromJson(PipelineVersionSchema, sent, { ignoreUnknownFields: true });
  }
  return penstock.pipelines.createPipelineVersion({
    pipelineId,
    pipelineVersion: {
      displayName: name || lastPart(source),
      description,
      packageUrl: { pipelineUrl: source },
      codeSourceUrl: codeSource,
    },
  });
}

const described = ({ name, description, codeSource }: Package) => ({
  name,
  description,
  code_source_url: codeSource,
});

async function post(path: string, file: File, query: Record<string, string>) {
  const body = new FormData();
  body.append("uploadfile", file, file.name);
  const said = Object.entries(query).filter(([, value]) => value !== "");
  const reply = await fetch(`${path}?${new URLSearchParams(said)}`, { method: "POST", body });
  if (!reply.ok) throw new Error(complaint(`HTTP ${reply.status} ${reply.statusText}`.trim(), await reply.text()));
  return reply.json();
}
