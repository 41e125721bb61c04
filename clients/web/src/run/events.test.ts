import { expect, test } from "vitest";

import { eventsOf } from "./events";

test("an event has the latest of its times, and what is no text is none", () => {
  const both = { firstTimestamp: "2026-01-01T00:00:00Z", lastTimestamp: "2026-01-02T00:00:00Z", reason: "Pulled" };
  expect(eventsOf([both, { lastTimestamp: "never", eventTime: null, message: { a: 1 }, type: 7 }])).toEqual([
    { at: Date.UTC(2026, 0, 2), type: "", reason: "Pulled", message: "" },
    { at: undefined, type: "", reason: "", message: "" },
  ]);
  expect(eventsOf(Array.from({ length: 300 }, (_, number) => ({ reason: String(number) }))).at(0)?.reason).toBe("100");
});
