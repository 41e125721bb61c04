import { create } from "@bufbuild/protobuf";
import { TriggerSchema } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";
import { expect, test } from "vitest";

import { en } from "../text/en";
import { zh } from "../text/zh";
import { looksLikeMinutesFirst, wordsOf, zoned } from "./cron";
import { cronInWords, scheduleInWords } from "./words";

// Between a time and its AM or PM is a narrow space.
const said = (cron: string) => cronInWords(cron, (key) => en[key], "en").replaceAll("\u202f", " ");

test("common expressions are said in words, seconds first", () => {
  expect(said("0 30 2 * * *")).toBe("Every day at 2:30 AM");
  expect(said("0 0 9,17 * * mon-fri")).toBe(
    "Every Monday, Tuesday, Wednesday, Thursday, and Friday at 9:00 AM and 5:00 PM",
  );
  expect(said("0 */15 * * * *")).toBe("Every 15 minutes");
  expect(said("0 0 0 1 * *")).toBe("Every month on day 1 at 12:00 AM");
  expect(said("@yearly")).toBe("Every year on January 1 at 12:00 AM");
  expect(said("@every 1h30m")).toBe("Every 90 minutes");
  expect(said("0 5 * * * ?")).toBe("Every hour at minute 5");
});

test("of five fields the day of the week is left out: this is no nightly schedule", () => {
  expect(wordsOf("30 2 * * *")).toBeUndefined();
  expect(said("0 0 2 * *")).toBe("Every day at 2:00 AM");
  expect(looksLikeMinutesFirst("30 2 * * *")).toBe(true);
  expect(looksLikeMinutesFirst("0 30 2 * * *")).toBe(false);
});

test("what is not understood for certain is shown as it is", () => {
  for (const cron of ["0 */7 * * * *", "0 0 2 1 * mon", "*/5 * * * * *", "0 0 2 L * *", "0 0 25 * * *", "", "x"]) {
    expect(wordsOf(cron)).toBeUndefined();
  }
  expect(said("0 0 2 1 * mon")).toBe("By the expression 0 0 2 1 * mon");
});

test("a zone is taken from before the expression and said", () => {
  expect(zoned("TZ=Europe/Berlin 0 30 2 * * *")).toEqual({ zone: "Europe/Berlin", cron: "0 30 2 * * *" });
  const trigger = create(TriggerSchema, {
    trigger: { case: "cronSchedule", value: { cron: "CRON_TZ=Asia/Shanghai 0 30 2 * * *" } },
  });
  expect(scheduleInWords(trigger, (key) => zh[key], "zh-CN")).toBe("每天 02:30（Asia/Shanghai）");
});

test("intervals are said in their largest whole unit; no trigger fires once", () => {
  const trigger = (intervalSecond: bigint) =>
    create(TriggerSchema, { trigger: { case: "periodicSchedule", value: { intervalSecond } } });
  const inEnglish = (seconds: bigint) => scheduleInWords(trigger(seconds), (key) => en[key], "en");
  expect(inEnglish(7200n)).toBe("Every 2 hours");
  expect(inEnglish(60n)).toBe("Every minute");
  expect(inEnglish(90n)).toBe("Every 90 seconds");
  expect(scheduleInWords(undefined, (key) => en[key], "en")).toBe("Once");
});
