/**
 * Cron expressions that can be said in a few words; all others are shown as they are.
 *
 * The server decides when a schedule fires. What is said here has to be true by its rules: seconds come first, and of
 * five fields the day of the week is the one that is left out. What is not understood for certain gives nothing.
 */
export type Words =
  | { readonly kind: "interval"; readonly seconds: number }
  | { readonly kind: "hourly"; readonly minute: number }
  | { readonly kind: "daily"; readonly times: readonly Clock[]; readonly days: Days };

export interface Clock {
  readonly hour: number;
  readonly minute: number;
}

export type Days =
  | { readonly kind: "all" }
  | { readonly kind: "week"; readonly days: readonly number[] }
  | { readonly kind: "month"; readonly day: number }
  | { readonly kind: "year"; readonly day: number; readonly month: number };

export interface Zoned {
  /** As it is written before the expression; empty for the server's. */
  readonly zone: string;
  readonly cron: string;
}

const NAMED: Readonly<Record<string, string>> = {
  "@yearly": "0 0 0 1 1 *",
  "@annually": "0 0 0 1 1 *",
  "@monthly": "0 0 0 1 * *",
  "@weekly": "0 0 0 * * 0",
  "@daily": "0 0 0 * * *",
  "@midnight": "0 0 0 * * *",
  "@hourly": "0 0 * * * *",
};
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };
// More times of a day than that are no easier to read than the expression.
const MOST_TIMES = 4;

export function zoned(expression: string): Zoned {
  const match = /^(?:CRON_TZ|TZ)=(\S+)\s+(.*)$/s.exec(expression.trim());
  return { zone: match?.[1] ?? "", cron: match?.[2] ?? expression.trim() };
}

export function wordsOf(cron: string): Words | undefined {
  const every = /^@every ((?:\d+[hms])+)$/.exec(cron)?.[1];
  if (every !== undefined) return { kind: "interval", seconds: secondsIn(every) };
  const parts = (NAMED[cron] ?? cron).toLowerCase().split(/\s+/);
  const [second, minute, hour, day, month, weekday = "*"] = parts.map((part) => (part === "?" ? "*" : part));
  if (parts.length > 6 || month === undefined || second === undefined || numbers(second, 0, 59)?.length !== 1) {
    return undefined;
  }
  const days = daysOf(day ?? "", month, weekday);
  if (days === undefined) return undefined;
  return days.kind === "all" && hour === "*" ? withinHours(minute ?? "", second) : atTimes(second, minute, hour, days);
}

/** Whether somebody may have meant an expression of five fields, which begins with minutes elsewhere. */
export function looksLikeMinutesFirst(cron: string): boolean {
  return !cron.startsWith("@") && cron.trim().split(/\s+/).length === 5;
}

function withinHours(minute: string, second: string): Words | undefined {
  const step = /^(?:\*|0)\/(\d+)$/.exec(minute)?.[1];
  if (minute === "*") return { kind: "interval", seconds: 60 };
  // A step that does not divide the hour gives intervals of two lengths.
  if (step !== undefined) return 60 % Number(step) === 0 ? { kind: "interval", seconds: Number(step) * 60 } : undefined;
  const [only, another] = numbers(minute, 0, 59) ?? [];
  return only === undefined || another !== undefined || second !== "0" ? undefined : { kind: "hourly", minute: only };
}

function atTimes(second: string, minute: string | undefined, hour: string | undefined, days: Days): Words | undefined {
  const minutes = numbers(minute ?? "", 0, 59);
  const times = numbers(hour ?? "", 0, 23)?.flatMap((hour) => minutes?.map((minute) => ({ hour, minute })) ?? []);
  if (second !== "0" || !times || times.length === 0 || times.length > MOST_TIMES) return undefined;
  return { kind: "daily", times, days };
}

function daysOf(day: string, month: string, weekday: string): Days | undefined {
  const [days, months, weekdays] = [numbers(day, 1, 31), numbers(month, 1, 12), numbers(weekday, 0, 6, WEEKDAYS)];
  if (day === "*" && month === "*") {
    if (weekday === "*") return { kind: "all" };
    return weekdays && { kind: "week", days: weekdays };
  }
  const [only, another] = days ?? [];
  if (weekday !== "*" || only === undefined || another !== undefined) return undefined;
  if (month === "*") return { kind: "month", day: only };
  const [one, further] = months ?? [];
  return one === undefined || further !== undefined ? undefined : { kind: "year", day: only, month: one };
}

/** Of a list of numbers and ranges without steps. */
function numbers(field: string, least: number, most: number, names: readonly string[] = []): number[] | undefined {
  const found = new Set<number>();
  for (const part of field.split(",")) {
    const [low = "", high = low, rest] = part.split("-");
    const [from, to] = [low, high].map((text) => {
      const named = names.indexOf(text);
      return named >= 0 ? named : /^\d{1,2}$/.test(text) ? Number(text) : NaN;
    });
    if (rest !== undefined || from === undefined || to === undefined) return undefined;
    if (!(from >= least && from <= to && to <= most)) return undefined;
    for (let number = from; number <= to; number++) found.add(number);
  }
  return [...found].sort((a, b) => a - b);
}

function secondsIn(text: string): number {
  const parts = [...text.matchAll(/(\d+)([hms])/g)];
  return Math.max(1, parts.reduce((sum, [, count, unit]) => sum + Number(count) * (SECONDS[unit ?? ""] ?? 0), 0));
}
