import { create } from "@bufbuild/protobuf";
import { Run_StorageState, RunSchema, RuntimeState } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { expect, test } from "vitest";

import { callForEach } from "./batch";
import { ACTIONS, fitting } from "./fits";

const run = (state: RuntimeState, storageState = Run_StorageState.AVAILABLE) =>
  create(RunSchema, { state, storageState });

const offered = (one: ReturnType<typeof run>) => ACTIONS.filter((action) => fitting(action, [one]).length > 0);

test("what is offered fits the state of the run", () => {
  expect(offered(run(RuntimeState.RUNNING))).toEqual(["terminate", "archive", "delete"]);
  expect(offered(run(RuntimeState.CANCELING))).toEqual(["archive", "delete"]);
  expect(offered(run(RuntimeState.FAILED))).toEqual(["retry", "archive", "delete"]);
  expect(offered(run(RuntimeState.SUCCEEDED, Run_StorageState.ARCHIVED))).toEqual(["unarchive", "delete"]);
});

test("of several runs those that fit are taken", () => {
  const [failed, succeeded] = [run(RuntimeState.FAILED), run(RuntimeState.SUCCEEDED)];
  expect(fitting("retry", [failed, succeeded])).toEqual([failed]);
});

test("each thing is called for once, a few at a time, and failures are told in order", async () => {
  const things = [...Array(10).keys()];
  const called: number[] = [];
  let open = 0;
  let most = 0;
  const failures = await callForEach(things, 3, async (thing) => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setTimeout(resolve, thing % 2));
    open--;
    called.push(thing);
    if (thing % 4 === 0) throw new Error(`no ${thing}`);
  });
  expect(called.toSorted((a, b) => a - b)).toEqual(things);
  expect(most).toBe(3);
  expect(failures.map(({ of, error }) => [of, String(error)])).toEqual([
    [0, "Error: no 0"],
    [4, "Error: no 4"],
    [8, "Error: no 8"],
  ]);
});
