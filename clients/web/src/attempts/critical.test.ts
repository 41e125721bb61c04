import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { CriticalTaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { chainOf, withAncestors } from "./critical";

test("a task of the critical path has its share of the run; one that lasts goes on to the end of what is shown", () => {
  const tasks = [
    create(CriticalTaskSchema, { path: "load", start: timestampFromMs(1000), end: timestampFromMs(2000), state: "SUCCEEDED" }),
    create(CriticalTaskSchema, { path: "each[3]/train", displayName: "train", start: timestampFromMs(2000), state: "RUNNING" }),
  ];
  expect(chainOf(tasks, 1000, 5000)).toEqual([
    { path: "load", name: "load", state: "SUCCEEDED", millis: 1000, share: 0.25 },
    { path: "each[3]/train", name: "train", state: "RUNNING", millis: 3000, share: 0.75 },
  ]);
  expect(chainOf(tasks, 0, 0)[0]?.share).toBe(1);
});

test("what a task is in stands for it where it is folded away", () => {
  expect([...withAncestors(["load", "group/each[3]/train", "group/each[3]/test"])]).toEqual([
    "load",
    "group/each[3]/train",
    "group/each[3]",
    "group/each",
    "group",
    "group/each[3]/test",
  ]);
  expect([...withAncestors(["each[3][1]/x"])]).toEqual(["each[3][1]/x", "each[3][1]", "each[3]", "each"]);
});
