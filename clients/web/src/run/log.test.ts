import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { barsOf } from "./bars";
import { tail } from "./log";

test("what is too long loses whole lines at its beginning", () => {
  expect(tail("one\ntwo\nthree\n", 8)).toBe("three\n");
  expect(tail("short", 8)).toBe("short");
  expect(tail("a line without end", 8)).toBe("hout end");
});

test("bars lie within the time of all; what runs goes on to now, what has not begun has none", () => {
  const task = (start?: number, end?: number) =>
    create(TaskSchema, {
      ...(start && { startedAt: timestampFromMs(start) }),
      ...(end && { finishedAt: timestampFromMs(end) }),
    });
  const bars = barsOf([task(1000, 2000), task(2000), task()], 3000);
  expect(bars).toEqual([
    { from: 0, share: 0.5, millis: 1000 },
    { from: 0.5, share: 0.5, millis: 1000 },
    undefined,
  ]);
});
