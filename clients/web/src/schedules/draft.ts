/**
 * What the form of a new recurring run holds, and the request that it becomes.
 *
 * Only what can be told without a server is checked here; what the server refuses is put to the field that it names.
 */
import { fromJson, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  RecurringRun_Mode,
  type RecurringRunSchema,
  type TriggerSchema,
} from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";

import { typedTime } from "../time";
import { zoned } from "./cron";

export const UNITS = { minutes: 60, hours: 3600, days: 86_400 } as const;
export const MOST_AT_A_TIME = 10;
export type Unit = keyof typeof UNITS;
export type Kind = "cron" | "interval";
export type TriggerInit = MessageInitShape<typeof TriggerSchema>;

export interface Draft {
  readonly name: string;
  readonly experiment: string;
  /** As it is typed; undefined until then, when it is what the pipeline asks for. */
  readonly parameters: string | undefined;
  readonly kind: Kind;
  readonly cron: string;
  /** Empty for the server's. */
  readonly zone: string;
  readonly amount: string;
  readonly unit: Unit;
  /** As an input of the browser has them, in the reader's zone; empty for none. */
  readonly start: string;
  readonly end: string;
  readonly catchUp: boolean;
  readonly concurrency: string;
  readonly enabled: boolean;
}

export function newDraft(zone: string): Draft {
  return {
    name: "",
    experiment: "",
    parameters: undefined,
    kind: "cron",
    cron: "0 0 6 * * *",
    zone,
    amount: "1",
    unit: "hours",
    start: "",
    end: "",
    catchUp: false,
    concurrency: "1",
    enabled: true,
  };
}

export function wholeNumber(text: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const found = /^\s*\d+\s*$/.test(text) ? Number(text) : 0;
  return found >= 1 && found <= most ? found : undefined;
}

/** The expression with its zone, unless it says one itself. */
export function cronOf({ cron, zone }: Pick<Draft, "cron" | "zone">): string {
  return zone === "" || zoned(cron).zone !== "" ? cron.trim() : `TZ=${zone} ${cron.trim()}`;
}

/** Undefined while no trigger can be made of what is typed. */
export function triggerOf(draft: Draft): TriggerInit | undefined {
  const [start, end] = [typedTime(draft.start), typedTime(draft.end)];
  const times = {
    ...(start !== undefined && { startTime: timestampFromMs(start) }),
    ...(end !== undefined && { endTime: timestampFromMs(end) }),
  };
  if (draft.kind === "cron") {
    if (zoned(draft.cron).cron === "") return undefined;
    return { trigger: { case: "cronSchedule", value: { cron: cronOf(draft), ...times } } };
  }
  const amount = wholeNumber(draft.amount);
  if (amount === undefined) return undefined;
  const intervalSecond = BigInt(amount * UNITS[draft.unit]);
  return { trigger: { case: "periodicSchedule", value: { intervalSecond, ...times } } };
}

export interface Asked {
  readonly trigger: TriggerInit | undefined;
  /** Whether the start was left out. */
  readonly cut: boolean;
}

/**
 * What is asked for a preview. Without catch-up the times between a start and now are no fires of their own, and would
 * be all that is shown of a start long ago.
 */
export function previewOf(draft: Draft, now: number): Asked {
  const start = typedTime(draft.start);
  const cut = !draft.catchUp && start !== undefined && start < now;
  return { trigger: triggerOf(cut ? { ...draft, start: "" } : draft), cut };
}

export interface Chosen {
  readonly pipelineId: string;
  /** Empty for the latest at each fire. */
  readonly pipelineVersionId: string;
}

export function requestOf(
  draft: Draft,
  chosen: Chosen,
  parameters: JsonObject,
): MessageInitShape<typeof RecurringRunSchema> {
  const trigger = triggerOf(draft);
  const values = Object.entries(parameters).map(([name, value]) => [name, fromJson(ValueSchema, value)] as const);
  return {
    displayName: draft.name,
    experimentId: draft.experiment,
    pipelineSource: { case: "pipelineVersionReference", value: chosen },
    runtimeConfig: { parameters: Object.fromEntries(values) },
    maxConcurrency: BigInt(wholeNumber(draft.concurrency) ?? 0),
    noCatchup: !draft.catchUp,
    mode: draft.enabled ? RecurringRun_Mode.ENABLE : RecurringRun_Mode.DISABLE,
    ...(trigger && { trigger }),
  };
}
