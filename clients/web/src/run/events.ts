/** Events of a Pod as a page shows them. They come from a cluster, and may hold anything or nothing. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface PodEvent {
  readonly at: number | undefined;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const MOST_EVENTS = 200;

/** The oldest first; of very many the last. */
export function eventsOf(documents: readonly JsonObject[]): readonly PodEvent[] {
  return documents.slice(-MOST_EVENTS).map((event) => ({
    at: timeOf(event.lastTimestamp) ?? timeOf(event.eventTime) ?? timeOf(event.firstTimestamp),
    type: textOf(event.type),
    reason: textOf(event.reason),
    message: textOf(event.message),
  }));
}

const textOf = (value: JsonValue | undefined): string => (typeof value === "string" ? value : "");

function timeOf(value: JsonValue | undefined): number | undefined {
  const at = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? undefined : at;
}
