import { expect, test } from "vitest";

import { en } from "../text/en";
import { cronOf, newDraft, previewOf, requestOf, triggerOf } from "./draft";
import { definitionsIn, parametersOf, templateOf } from "./parameters";
import { problemIn, problemsOf } from "./problems";

const text = (key: keyof typeof en) => en[key];
const draft = { ...newDraft("Europe/Berlin"), name: "nightly" };
const chosen = { pipelineId: "p", pipelineVersionId: "" };
const definitions = definitionsIn({
  root: {
    inputDefinitions: {
      parameters: {
        day: { parameterType: "STRING" },
        rate: { parameterType: "NUMBER_DOUBLE", defaultValue: 0.5 },
        note: { parameterType: "STRING", isOptional: true },
      },
    },
  },
});

test("the zone is put before an expression that has none", () => {
  expect(cronOf({ cron: " 0 30 2 * * * ", zone: "Europe/Berlin" })).toBe("TZ=Europe/Berlin 0 30 2 * * *");
  expect(cronOf({ cron: "TZ=Asia/Tokyo @daily", zone: "Europe/Berlin" })).toBe("TZ=Asia/Tokyo @daily");
  expect(cronOf({ cron: "@daily", zone: "" })).toBe("@daily");
});

test("an interval is sent in seconds, and no trigger while it is no whole number", () => {
  const hours = { ...draft, kind: "interval", unit: "hours" } as const;
  expect(triggerOf({ ...hours, amount: "2" })?.trigger?.value).toMatchObject({ intervalSecond: 7200n });
  for (const amount of ["", "0", "1.5", "-1", "x"]) expect(triggerOf({ ...hours, amount })).toBeUndefined();
});

test("without catch-up a start that is past is left out of the preview, but not of the request", () => {
  const early = { ...draft, start: "2020-01-01T00:00" };
  const now = Date.UTC(2026, 0, 1);
  expect(previewOf(early, now)).toMatchObject({ cut: true });
  expect(previewOf(early, now).trigger?.trigger?.value).not.toHaveProperty("startTime");
  expect(previewOf({ ...early, catchUp: true }, now).trigger?.trigger?.value).toHaveProperty("startTime");
  expect(requestOf(early, chosen, {}).trigger?.trigger?.value).toHaveProperty("startTime");
});

test("what is missing or wrong is said at its field", () => {
  const times = { start: "2026-02-01T00:00", end: "2026-01-01T00:00" };
  const wrong = { ...draft, ...times, name: " ", concurrency: "11", cron: "" };
  const found = problemsOf(wrong, "{", { pipelineId: "", pipelineVersionId: "" }, definitions, text);
  expect(Object.keys(found).sort()).toEqual(["concurrency", "cron", "end", "name", "parameters", "pipeline"]);
  expect(problemsOf(draft, '{"day": "monday"}', chosen, definitions, text)).toEqual({});
});

test("parameters are held against what the pipeline declares", () => {
  const problem = (typed: string) => parametersOf(typed, definitions, text).problem;
  expect(templateOf(definitions)).toBe('{\n  "day": ""\n}');
  expect(problem("[1]")).toBe(en.notAnObject);
  expect(problem("")).toBe("The pipeline needs a value for day");
  expect(problem('{"day": 7}')).toBe("day has to be of type STRING");
  expect(problem('{"day": "x", "dya": "x"}')).toBe("The pipeline has no parameter dya");
  expect(problem('{"day": "x", "rate": "0.1"}')).toBeUndefined();
  expect(parametersOf('{"anything": 1}', undefined, text)).toEqual({ parameters: { anything: 1 } });
});

test("what the server refuses is put to the field that it names", () => {
  expect(problemIn("recurring_run.trigger.cron_schedule.cron: 'x' is no cron expression")).toEqual({
    cron: "'x' is no cron expression",
  });
  expect(problemIn("recurring_run.trigger.cron_schedule.cron: 'Mars' is no time zone")).toHaveProperty("zone");
  expect(problemIn("runtime_config.parameters.day: expected STRING")).toHaveProperty("parameters");
  expect(problemIn("the server is busy")).toEqual({});
});
