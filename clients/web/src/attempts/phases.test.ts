import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AttemptPhase, AttemptSchema, type AttemptPhase as Named } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { extentOf, isOpen, phaseNamed, sumsOf, triedOf } from "./phases";

const span = (phase: Named, start: number, end?: number) => ({
  phase,
  start: timestampFromMs(start),
  ...(end !== undefined && { end: timestampFromMs(end) }),
});

test("an attempt has its phases by name; one that has no name here is left out", () => {
  const phases = [span(AttemptPhase.QUEUED, 1000, 3000), span(99 as Named, 3000, 3500), span(AttemptPhase.RUNNING, 3500)];
  const tried = triedOf(create(AttemptSchema, { number: 2, phases }));
  expect(tried.spans).toEqual([
    { phase: "queued", start: 1000, end: 3000 },
    { phase: "running", start: 3500, end: undefined },
  ]);
  expect(isOpen(tried)).toBe(true);
  expect(extentOf(tried, 5000)).toEqual({ from: 1000, to: 5000 });
  expect([...sumsOf(tried.spans, 5000)]).toEqual([["queued", 2000], ["running", 1500]]);
});

test("an attempt of which nothing is known is not open, and has no extent; a clock that is behind takes nothing away", () => {
  const nothing = triedOf(create(AttemptSchema, { number: 1 }));
  expect([isOpen(nothing), extentOf(nothing, 5000)]).toEqual([false, undefined]);
  const ahead = triedOf(create(AttemptSchema, { phases: [span(AttemptPhase.QUEUED, 1000, 3000), span(AttemptPhase.RUNNING, 3000)] }));
  expect(extentOf(ahead, 2000)).toEqual({ from: 1000, to: 3000 });
  expect(sumsOf(ahead.spans, 2000).get("running")).toBe(0);
});

test("a phase is found by the name that the API has for it", () => {
  expect([phaseNamed("ATTEMPT_PHASE_STORING"), phaseNamed("ATTEMPT_PHASE_DREAMING"), phaseNamed(undefined)]).toEqual([
    "storing",
    undefined,
    undefined,
  ]);
});
