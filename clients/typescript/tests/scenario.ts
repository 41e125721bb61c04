// Makes the calls of a scenario (JSON) against a live server through the generated clients, and fails when there is an RPC that
// no step called. Arguments: server URL, file of steps, URL of a package.
import { readFile } from "node:fs/promises";

import { create, fromJson, toJson, type DescMethod, type DescService, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

import * as access from "../src/gen/penstock_api/v1/access_pb.js";
import * as pools from "../src/gen/penstock_api/v1/pool_pb.js";
import * as insight from "../src/gen/penstock_api/v1/insight_pb.js";
import * as uploads from "../src/gen/penstock_api/v1/upload_pb.js";
import * as watches from "../src/gen/penstock_api/v1/watch_pb.js";
import * as authV1 from "../src/gen/penstock_api/v1beta1/auth_pb.js";
import * as experimentV1 from "../src/gen/penstock_api/v1beta1/experiment_pb.js";
import * as jobV1 from "../src/gen/penstock_api/v1beta1/job_pb.js";
import * as pipelineV1 from "../src/gen/penstock_api/v1beta1/pipeline_pb.js";
import * as runV1 from "../src/gen/penstock_api/v1beta1/run_pb.js";
import * as taskV1 from "../src/gen/penstock_api/v1beta1/task_pb.js";
import * as visualizationV1 from "../src/gen/penstock_api/v1beta1/visualization_pb.js";
import * as auth from "../src/gen/penstock_api/v2beta1/auth_pb.js";
import * as experiment from "../src/gen/penstock_api/v2beta1/experiment_pb.js";
import * as filter from "../src/gen/penstock_api/v2beta1/filter_pb.js";
import * as healthz from "../src/gen/penstock_api/v2beta1/healthz_pb.js";
import * as pipeline from "../src/gen/penstock_api/v2beta1/pipeline_pb.js";
import * as recurringRun from "../src/gen/penstock_api/v2beta1/recurring_run_pb.js";
import * as report from "../src/gen/penstock_api/v2beta1/report_pb.js";
import * as run from "../src/gen/penstock_api/v2beta1/run_pb.js";
import * as visualization from "../src/gen/penstock_api/v2beta1/visualization_pb.js";
import { connect } from "../src/node.js";

interface Step {
  call: string;
  request: JsonObject;
  save?: Record<string, string>;
  expect?: JsonObject;
  code?: string;
  until?: Record<string, JsonValue[]>;
}

const files = [
  access, insight, pools, uploads, watches, authV1, experimentV1, jobV1, pipelineV1, runV1, taskV1, visualizationV1, auth,
  experiment,
  filter, healthz, pipeline, recurringRun, report, run, visualization,
];
// Declared and, as upstream, not served.
const unserved = ["AuthService", "VisualizationService", "HealthzService", "DummyFilterService", "ReportService"]
  .map((name) => `kubeflow.pipelines.backend.api.v2beta1.${name}`);
const services: DescService[] = files.flatMap((file) =>
  Object.values(file).filter((one): one is DescService => (one as { kind?: string }).kind === "service"),
);
const [server, stepsFile, packageUrl] = process.argv.slice(2) as [string, string, string];
const penstock = connect(server);
const variables: Record<string, string> = { client: "typescript", package_url: packageUrl };
const called = new Set<string>();

for (const [number, step] of (JSON.parse(await readFile(stepsFile, "utf8")) as Step[]).entries()) {
  const where = `step ${number}, ${step.call}`;
  called.add(step.call);
  const reply = await carriedOut(where, number, step);
  if (!step.code) missing(reply, filled(step.expect ?? {}), where);
  for (const [name, path] of Object.entries(step.save ?? {})) variables[name] = String(found(reply, path));
}
for (const service of services) {
  for (const method of service.methods) {
    if (unserved.includes(service.typeName)) {
      const { code } = await answer(service, method, {}, "typescript-unserved");
      if (code !== "UNIMPLEMENTED") throw new Error(`${service.typeName}/${method.name}: ${code}`);
    } else if (!called.has(`${service.typeName}/${method.name}`)) {
      throw new Error(`no step calls ${service.typeName}/${method.name}`);
    }
  }
}
console.log(`${called.size} methods called`);

async function carriedOut(where: string, number: number, step: Step): Promise<JsonValue> {
  const [typeName, name] = step.call.split("/");
  const service = services.find((one) => one.typeName === typeName);
  const method = service?.methods.find((one) => one.name === name);
  if (!service || !method) throw new Error(`${where}: not declared`);
  for (const until = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const { reply, code, text } = await answer(service, method, filled(step.request) as JsonObject, `typescript-${number}`);
    if (code !== (step.code ?? "")) throw new Error(`${where}: ${code || "OK"} instead of ${step.code ?? "OK"}: ${text}`);
    const waiting = Object.entries(step.until ?? {}).some(([path, values]) => !values.includes(found(reply, path) ?? null));
    if (!waiting || Date.now() > until) return reply;
  }
}

async function answer(service: DescService, method: DescMethod, request: JsonObject, requestId: string) {
  // The client's type follows from the service, which is known at run time only.
  const client = createClient(service, penstock.transport) as Record<string, (message: unknown, options: unknown) => any>;
  const message = fromJson(method.input, request);
  const options = { headers: { "x-request-id": requestId } };
  const shown = (one: unknown) => toJson(method.output, create(method.output, one as Record<string, unknown>), { useProtoFieldName: true }) as JsonObject;
  try {
    const replied = client[method.localName]!(message, options);
    if (method.methodKind !== "server_streaming") return { reply: shown(await replied) as JsonValue, code: "", text: "" };
    const all: JsonObject[] = [];
    for await (const one of replied) all.push(shown(one));
    return { reply: { ...all[0], messages: all.length } as JsonValue, code: "", text: "" };
  } catch (error) {
    const known = ConnectError.from(error);
    return { reply: null as JsonValue, code: Code[known.code]!.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase(), text: known.message };
  }
}

function found(value: JsonValue | undefined, path: string): JsonValue | undefined {
  return path.split(".").reduce<JsonValue | undefined>(
    (holder, part) => (holder !== null && typeof holder === "object" ? (holder as Record<string, JsonValue>)[part] : undefined),
    value,
  );
}

function missing(value: JsonValue | undefined, wanted: JsonValue, place: string): void {
  if (wanted !== null && typeof wanted === "object") {
    for (const [key, item] of Object.entries(wanted)) missing(found(value, key), item as JsonValue, `${place}.${key}`);
  } else if (value !== wanted) {
    throw new Error(`${place} is ${JSON.stringify(value)}, wanted ${JSON.stringify(wanted)}`);
  }
}

function filled(value: JsonValue): JsonValue {
  if (typeof value === "string") return value.replace(/\$\{(\w+)\}/g, (_, name: string) => variables[name] ?? "");
  if (Array.isArray(value)) return value.map(filled);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item)]));
  }
  return value;
}
