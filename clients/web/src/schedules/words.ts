/** What a trigger says, as a sentence of the reader's language. */
import type { Trigger } from "@penstock/client/gen/penstock_api/v2beta1/recurring_run_pb.js";

import type { Key } from "../text/en";
import { fill } from "../text/fill";
import { wordsOf, zoned, type Clock, type Days } from "./cron";

type Text = (key: Key) => string;

export function scheduleInWords(trigger: Trigger | undefined, text: Text, language: string): string {
  const kind = trigger?.trigger;
  if (kind?.case === "periodicSchedule") return every(Number(kind.value.intervalSecond), text, language);
  if (kind?.case !== "cronSchedule") return text("once");
  const { zone, cron } = zoned(kind.value.cron);
  const said = cronInWords(cron, text, language);
  return zone === "" ? said : fill(text("inZone"), { schedule: said, zone });
}

export function cronInWords(cron: string, text: Text, language: string): string {
  const words = wordsOf(cron);
  if (words?.kind === "interval") return every(words.seconds, text, language);
  if (words?.kind === "hourly") return fill(text("everyHourAt"), { minute: words.minute });
  if (words?.kind === "daily") return daily(words.times, words.days, text, language);
  return fill(text("byExpression"), { cron });
}

function every(seconds: number, text: Text, language: string): string {
  const [unit, amount] = unitOf(seconds);
  const interval = amount === 1 ? text(unit) : new Intl.NumberFormat(language, {
    style: "unit",
    unit,
    unitDisplay: "long",
  }).format(amount);
  return fill(text("everyInterval"), { interval });
}

/** The largest unit of which an interval is a whole number. */
export function unitOf(seconds: number): readonly ["second" | "minute" | "hour" | "day", number] {
  if (seconds % 86_400 === 0) return ["day", seconds / 86_400];
  if (seconds % 3600 === 0) return ["hour", seconds / 3600];
  return seconds % 60 === 0 ? ["minute", seconds / 60] : ["second", seconds];
}

function daily(times: readonly Clock[], days: Days, text: Text, language: string): string {
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "short", timeZone: "UTC" });
  const shown = listed(times.map(({ hour, minute }) => clock.format(Date.UTC(2000, 0, 1, hour, minute))), language);
  if (days.kind === "all") return fill(text("everyDayAt"), { times: shown });
  if (days.kind === "month") return fill(text("monthlyAt"), { day: days.day, times: shown });
  if (days.kind === "year") {
    const date = new Intl.DateTimeFormat(language, { month: "long", day: "numeric", timeZone: "UTC" });
    // A leap year, which has every day.
    return fill(text("yearlyAt"), { date: date.format(Date.UTC(2000, days.month - 1, days.day)), times: shown });
  }
  const weekday = new Intl.DateTimeFormat(language, { weekday: "long", timeZone: "UTC" });
  // The second of January 2000 was a Sunday.
  const names = days.days.map((day) => weekday.format(Date.UTC(2000, 0, 2 + day)));
  return fill(text("weekdaysAt"), { days: listed(names, language), times: shown });
}

function listed(items: readonly string[], language: string): string {
  return new Intl.ListFormat(language, { type: "conjunction" }).format(items);
}
