/** Which fires should have been made already, and when to look again. */
import type { NextFires } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

// Servers look twice a second, and their clocks are not the browser's.
const PATIENCE_MS = 5_000;
// By then another program may have changed the schedule.
const LONGEST_MS = 60_000;

export function isDue(at: number | undefined, now: number): boolean {
  return at !== undefined && at < now - PATIENCE_MS;
}

export function dueOf(found: NextFires | undefined, now: number): number {
  return found?.fires.filter((fire) => isDue(millis(fire), now)).length ?? 0;
}

/** How long nothing is expected to change, and at least `shortest`. */
export function untilNext(found: NextFires | undefined, now: number, shortest: number): number {
  const next = millis(found?.fires[0]);
  return next === undefined ? LONGEST_MS : Math.min(Math.max(next - now, shortest), LONGEST_MS);
}
