/** Which fires should have been made already. */
import type { NextFires } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { millis } from "../time";

// Servers look twice a second, and their clocks are not the browser's.
const PATIENCE_MS = 5_000;

export function isDue(at: number | undefined, now: number): boolean {
  return at !== undefined && at < now - PATIENCE_MS;
}

export function dueOf(found: NextFires | undefined, now: number): number {
  return found?.fires.filter((fire) => isDue(millis(fire), now)).length ?? 0;
}
