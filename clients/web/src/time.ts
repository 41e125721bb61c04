/** Points in time and durations as the API has them, and as readers do. */
import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";

/** Milliseconds since the epoch; undefined for what is not there or, as the API says "not yet", is the epoch. */
export function millis(stamp: Timestamp | undefined): number | undefined {
  const found = stamp ? timestampMs(stamp) : 0;
  return found > 0 ? found : undefined;
}

/** What was put into a field of a date and a time of the reader's zone, which may be nothing yet. */
export function typedTime(input: string): number | undefined {
  const found = input === "" ? NaN : new Date(input).getTime();
  return Number.isNaN(found) ? undefined : found;
}

/** For such a field, to the minute. */
export function timeToType(at: number): string {
  const day = new Date(at);
  const two = (part: number) => String(part).padStart(2, "0");
  const date = `${String(day.getFullYear()).padStart(4, "0")}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  return `${date}T${two(day.getHours())}:${two(day.getMinutes())}`;
}

/** How long something took, or has taken by `now`. */
export function lasted(start: number | undefined, end: number | undefined, now: number): number | undefined {
  return start === undefined ? undefined : Math.max(0, (end ?? now) - start);
}

// A format takes far longer to make than to use.
const TIMES = kept((language) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }));
const DURATIONS = kept((language) => new Intl.DurationFormat(language, { style: "narrow" }));

// Otherwise nothing at all is written of a duration of nothing.
const SHORT = kept((language) => new Intl.DurationFormat(language, { style: "narrow", millisecondsDisplay: "always" }));

export function shownTime(at: number, language: string): string {
  return TIMES(language).format(at);
}

export function shownDuration(milliseconds: number, language: string): string {
  if (milliseconds < 999.5) return SHORT(language).format({ milliseconds: Math.round(milliseconds) });
  const seconds = Math.floor((milliseconds + 0.5) / 1000);
  return DURATIONS(language).format({
    hours: Math.floor(seconds / 3600),
    minutes: Math.floor(seconds / 60) % 60,
    seconds: seconds % 60,
  });
}

function kept<T>(make: (language: string) => T): (language: string) => T {
  const made = new Map<string, T>();
  return (language) => {
    const format = made.get(language) ?? make(language);
    made.set(language, format);
    return format;
  };
}
