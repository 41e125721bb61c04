/** Which runs the start page asks for. Archived ones are out of sight, as in every list. */
import { filterText, storagePredicate } from "../runs/filter";

const DAY_MS = 24 * 60 * 60 * 1000;
const GOING_ON = ["PENDING", "RUNNING", "CANCELING"];

export const goingOn = (): string =>
  filterText([...storagePredicate(), { operation: "IN", key: "state", string_values: { values: GOING_ON } }]);

export const pending = (): string =>
  filterText([...storagePredicate(), { operation: "EQUALS", key: "state", string_value: "PENDING" }]);

/** What ended so within a day, also when it had begun long before. */
export const failedLately = (now: number): string =>
  filterText([
    ...storagePredicate(),
    { operation: "EQUALS", key: "state", string_value: "FAILED" },
    { operation: "GREATER_THAN_EQUALS", key: "finished_at", timestamp_value: new Date(now - DAY_MS).toISOString() },
  ]);

/** An error may go on for pages; what went wrong is in its first line that says anything. */
export const firstLine = (text: string): string => text.trimStart().split(/[\r\n]/, 1)[0] ?? "";
