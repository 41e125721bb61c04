/** What is wrong with a draft, by the field where it is to be said: found here, or told by the server. */
import type { Key } from "../text/en";
import { fill } from "../text/fill";
import { typedTime } from "../time";
import { zoned } from "./cron";
import { MOST_AT_A_TIME, wholeNumber, type Chosen, type Draft } from "./draft";
import { parametersOf, type Definitions } from "./parameters";

export type Field =
  | "name" | "pipeline" | "experiment" | "parameters" | "cron" | "zone" | "amount" | "start" | "end" | "concurrency";
export type Problems = Readonly<Partial<Record<Field, string>>>;

// How the server's messages begin, the longest first.
const PLACES: readonly (readonly [string, Field])[] = [
  ["recurring_run.trigger.cron_schedule.start_time", "start"],
  ["recurring_run.trigger.cron_schedule.end_time", "end"],
  ["recurring_run.trigger.cron_schedule.cron", "cron"],
  ["recurring_run.trigger.periodic_schedule.start_time", "start"],
  ["recurring_run.trigger.periodic_schedule.end_time", "end"],
  ["recurring_run.trigger.periodic_schedule.interval_second", "amount"],
  ["recurring_run.trigger", "end"],
  ["recurring_run.display_name", "name"],
  ["recurring_run.experiment_id", "experiment"],
  ["recurring_run.max_concurrency", "concurrency"],
  ["recurring_run.pipeline", "pipeline"],
  ["recurring_run.runtime_config", "parameters"],
  ["runtime_config.parameters", "parameters"],
  ["Pipeline ", "pipeline"],
  ["PipelineVersion ", "pipeline"],
  ["Experiment ", "experiment"],
];

export function problemsOf(
  draft: Draft,
  parameters: string,
  chosen: Chosen,
  definitions: Definitions,
  text: (key: Key) => string,
): Problems {
  const [start, end] = [typedTime(draft.start), typedTime(draft.end)];
  const inParameters = parametersOf(parameters, definitions, text).problem;
  return {
    ...(draft.name.trim() === "" && { name: text("needed") }),
    ...(chosen.pipelineId === "" && { pipeline: text("noPipeline") }),
    ...(inParameters !== undefined && { parameters: inParameters }),
    ...(draft.kind === "cron" && zoned(draft.cron).cron === "" && { cron: text("needed") }),
    ...(draft.kind === "interval" && wholeNumber(draft.amount) === undefined && { amount: text("wholeNumber") }),
    ...(start !== undefined && end !== undefined && end < start && { end: text("endBeforeStart") }),
    ...(wholeNumber(draft.concurrency, MOST_AT_A_TIME) === undefined && {
      concurrency: fill(text("atMost"), { most: MOST_AT_A_TIME }),
    }),
  };
}

/** The field that a message of the server is about; nothing when it is about none of them. */
export function problemIn(message: string): Problems {
  const [place, field] = PLACES.find(([place]) => message.startsWith(place)) ?? [];
  if (place === undefined || field === undefined) return {};
  const said = message.startsWith(`${place}: `) ? message.slice(place.length + 2) : message;
  return { [field === "cron" && said.includes("is no time zone") ? "zone" : field]: said };
}
