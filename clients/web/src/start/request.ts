/** What was typed as the request that starts a run. A run that is run again lends what the form does not show. */
import { clone, create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { RunOptionsSchema, RunSchema, type Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { messageOf, valueOf } from "./exact";
import { read, textOf, type Input, type Wrong } from "./inputs";

/** By the name of the input; undefined stands for no value. */
export type Texts = Readonly<Record<string, string | undefined>>;

export interface General {
  readonly name: string;
  readonly description: string;
  readonly experimentId: string;
  readonly caching: "" | "on" | "off";
  readonly failFast: boolean;
  readonly deadline: string;
  readonly priority: string;
  readonly labels: string;
  readonly serviceAccount: string;
  readonly pipelineRoot: string;
}

export type Source =
  | { readonly kind: "version"; readonly pipelineId: string; readonly pipelineVersionId: string }
  | { readonly kind: "document"; readonly document: JsonObject };

export interface Arguments {
  readonly values: Record<string, Value>;
  readonly wrong: ReadonlyMap<string, Wrong>;
}

export function firstTexts(inputs: readonly Input[], again: Run | undefined): Texts {
  const given = again?.runtimeConfig?.parameters ?? {};
  return Object.fromEntries(
    inputs.map((input) => {
      const value = Object.hasOwn(given, input.name) ? given[input.name] : undefined;
      return [input.name, textOf(input, value && valueOf(value))];
    }),
  );
}

export function firstGeneral(name: string, again: Run | undefined): General {
  const caching = again?.options?.caching;
  const deadline = again?.options?.deadlineSeconds ?? 0;
  const priority = again?.options?.priority ?? 0;
  return {
    name: again?.displayName ?? name,
    description: again?.description ?? "",
    experimentId: again?.experimentId ?? "",
    caching: caching === undefined ? "" : caching ? "on" : "off",
    failFast: again?.options?.failFast ?? false,
    deadline: deadline > 0 ? String(deadline) : "",
    priority: priority === 0 ? "" : String(priority),
    labels: Object.entries(again?.labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join("\n"),
    serviceAccount: again?.serviceAccount ?? "",
    pipelineRoot: again?.runtimeConfig?.pipelineRoot ?? "",
  };
}

export function argumentsOf(inputs: readonly Input[], texts: Texts): Arguments {
  const values: [string, Value][] = [];
  const wrong = new Map<string, Wrong>();
  for (const input of inputs) {
    if (input.kind === undefined) continue;
    const reading = read(input, texts[input.name]);
    if ("wrong" in reading) wrong.set(input.name, reading.wrong);
    if (!("value" in reading)) continue;
    try {
      values.push([input.name, messageOf(reading.value)]);
    } catch {
      // Greater than any double, or nested deeper than anything that can be sent.
      wrong.set(input.name, input.kind === "STRUCT" ? "noObject" : input.kind === "LIST" ? "noList" : "noNumber");
    }
  }
  return { values: Object.fromEntries(values), wrong };
}

/** Undefined when a line is none, or a key is there twice. */
export function labelsOf(text: string): Record<string, string> | undefined {
  const labels = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    const key = line.slice(0, Math.max(at, 0)).trim();
    if (key === "" || labels.has(key)) return undefined;
    labels.set(key, line.slice(at + 1).trim());
  }
  return Object.fromEntries(labels);
}

/** 0 for none; undefined when it is no deadline. */
export function deadlineOf(text: string): number | undefined {
  const typed = text.trim();
  if (typed === "") return 0;
  const seconds = /^\d{1,10}$/.test(typed) ? Number(typed) : 0;
  return seconds >= 1 && seconds <= 2 ** 31 - 1 ? seconds : undefined;
}

/** 0 for none; undefined when it is no priority. */
export function priorityOf(text: string): number | undefined {
  const typed = text.trim();
  if (typed === "") return 0;
  const priority = /^[+-]?\d{1,4}$/.test(typed) ? Number(typed) : Infinity;
  return Math.abs(priority) <= 1000 ? priority : undefined;
}

/** Undefined when something is wrong, which the form says at its place. */
export function runOf(
  source: Source,
  general: General,
  { values, wrong }: Arguments,
  again: Run | undefined,
): MessageInitShape<typeof RunSchema> | undefined {
  const labels = labelsOf(general.labels);
  const deadlineSeconds = deadlineOf(general.deadline);
  const priority = priorityOf(general.priority);
  if (wrong.size > 0 || labels === undefined || !general.name.trim()) return undefined;
  if (deadlineSeconds === undefined || priority === undefined) return undefined;
  const options = clone(RunOptionsSchema, again?.options ?? create(RunOptionsSchema));
  options.failFast = general.failFast;
  options.deadlineSeconds = deadlineSeconds;
  options.priority = priority;
  if (general.caching === "") delete options.caching;
  else options.caching = general.caching === "on";
  return {
    displayName: general.name.trim(),
    description: general.description,
    experimentId: general.experimentId,
    serviceAccount: general.serviceAccount.trim(),
    labels,
    options,
    runtimeConfig: { parameters: values, pipelineRoot: general.pipelineRoot.trim() },
    ...(again && { pluginsInput: again.pluginsInput }),
    pipelineSource:
      source.kind === "version"
        ? { case: "pipelineVersionReference", value: source }
        : { case: "pipelineSpec", value: source.document },
  };
}
