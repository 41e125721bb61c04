import { expect, test } from "vitest";

import { shownDuration, timeToType, typedTime } from "./time";

test("a duration is never nothing, and has no units that are none", () => {
  const shown = [0, 0.4, 85, 999.7, 1000, 61_500, 3_600_000, 90_061_000].map((duration) => shownDuration(duration, "en"));
  expect(shown).toEqual(["0ms", "0ms", "85ms", "1s", "1s", "1m 1s", "1h", "25h 1m 1s"]);
});

test("a time in a field is the same time again", () => {
  const at = new Date(987, 0, 2, 3, 4).getTime();
  expect(timeToType(at)).toBe("0987-01-02T03:04");
  expect(typedTime(timeToType(at))).toBe(at);
  expect([typedTime(""), typedTime("soon")]).toEqual([undefined, undefined]);
});
