import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NextFiresSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { dueOf, untilNext } from "./due";
import { newRecurringRunSearch, recurringRunsSearch } from "./search";

const NOW = Date.UTC(2026, 0, 1);
const fires = (...offsets: number[]) =>
  create(NextFiresSchema, { fires: offsets.map((offset) => timestampFromMs(NOW + offset)) });

test("a fire is due once a server has had the time to make it", () => {
  expect(dueOf(fires(-60_000, -10_000, -1_000, 1_000), NOW)).toBe(2);
  expect(dueOf(undefined, NOW)).toBe(0);
});

test("the next fires are asked for when the first has come, neither at once nor never", () => {
  expect(untilNext(fires(30_000), NOW, 2_000)).toBe(30_000);
  expect(untilNext(fires(-30_000), NOW, 2_000)).toBe(2_000);
  expect(untilNext(fires(3_600_000), NOW, 2_000)).toBe(60_000);
  expect(untilNext(fires(), NOW, 2_000)).toBe(60_000);
});

test("what an address says that is not known is left out", () => {
  expect(recurringRunsSearch({ name: 7, page: "", state: "x" })).toEqual({ name: "7" });
  expect(newRecurringRunSearch({ pipeline: "p", version: undefined })).toEqual({ pipeline: "p" });
});
