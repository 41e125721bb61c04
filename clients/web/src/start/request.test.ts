import { create } from "@bufbuild/protobuf";
import { RunSchema } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { expect, test } from "vitest";

import { messageOf, valueOf } from "./exact";
import { inputsOf } from "./inputs";
import { argumentsOf, deadlineOf, firstGeneral, firstTexts, labelsOf, priorityOf, runOf, type Source } from "./request";

const parameters = {
  seed: { parameterType: "NUMBER_INTEGER" },
  note: { parameterType: "STRING", isOptional: true, defaultValue: "none" },
  status: { parameterType: "TASK_FINAL_STATUS", isOptional: true },
};
const inputs = inputsOf({ root: { inputDefinitions: { parameters } } });
const source: Source = { kind: "version", pipelineId: "p", pipelineVersionId: "v" };

test("labels are lines of key=value, and a value may have another =", () => {
  expect(labelsOf(" team = vision \n\nquery=a=b\nempty=")).toEqual({ team: "vision", query: "a=b", empty: "" });
  for (const text of ["team", "=x", "a=1\na=2"]) expect(labelsOf(text)).toBeUndefined();
  expect(labelsOf("__proto__=x")).toHaveProperty("__proto__");
});

test("a deadline is a whole number of seconds, or none", () => {
  expect(["", " 60 ", "2147483647"].map(deadlineOf)).toEqual([0, 60, 2147483647]);
  for (const text of ["0", "-1", "1.5", "2147483648", "soon"]) expect(deadlineOf(text)).toBeUndefined();
});

test("what is wrong at an input makes no request, and is told by the input's name", () => {
  const typed = argumentsOf(inputs, { ...firstTexts(inputs, undefined), seed: "many" });
  expect([...typed.wrong]).toEqual([["seed", "noWholeNumber"]]);
  expect(runOf(source, firstGeneral("a run", undefined), typed, undefined)).toBeUndefined();
  const right = argumentsOf(inputs, { seed: "1", note: "none" });
  expect(Object.keys(right.values)).toEqual(["seed"]);
  expect(runOf(source, firstGeneral("a run", undefined), right, undefined)?.displayName).toBe("a run");
  expect(runOf(source, firstGeneral(" ", undefined), right, undefined)).toBeUndefined();
  expect(runOf(source, { ...firstGeneral("x", undefined), labels: "x" }, right, undefined)).toBeUndefined();
  expect(runOf(source, { ...firstGeneral("x", undefined), priority: "1001" }, right, undefined)).toBeUndefined();
  expect(["", " +7 ", "-1000", "1001", "1.5", "x"].map(priorityOf)).toEqual([
    0,
    7,
    -1000,
    undefined,
    undefined,
    undefined,
  ]);
  expect(argumentsOf(inputs, { seed: "9".repeat(400) }).wrong.get("seed")).toBe("noNumber");
});

test("a run that is run again has the same arguments and options, digit for digit", () => {
  const kept = { deadlineSeconds: 60, infrastructureRetries: 7, priority: -3, workers: "run" };
  const again = create(RunSchema, {
    displayName: "first",
    labels: { team: "vision" },
    options: { ...kept, caching: false },
    runtimeConfig: { parameters: { seed: messageOf(9007199254740993n), note: messageOf(null) } },
  });
  const texts = firstTexts(inputs, again);
  expect(texts).toEqual({ seed: "9007199254740993", note: undefined, status: undefined });
  const run = runOf(source, firstGeneral("", again), argumentsOf(inputs, texts), again);
  expect(run).toMatchObject({
    displayName: "first",
    labels: { team: "vision" },
    options: { ...kept, caching: false, failFast: false },
  });
  const sent = argumentsOf(inputs, texts).values;
  expect([sent.seed && valueOf(sent.seed), sent.note && valueOf(sent.note)]).toEqual([9007199254740993n, null]);
  const asSet = runOf(source, { ...firstGeneral("", again), caching: "" }, argumentsOf(inputs, texts), again);
  expect(asSet?.options?.caching).toBeUndefined();
});
