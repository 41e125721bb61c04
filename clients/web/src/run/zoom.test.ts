import { expect, test } from "vitest";

import { tickFormat, ticksOf } from "./ticks";
import { moved, within, zoomed } from "./zoom";

const whole = { from: 1_000, to: 11_000 };

test("zooming keeps the point that is pointed at, and ends with the whole", () => {
  expect(zoomed(whole, whole, 0.5, 0)).toEqual({ from: 1_000, to: 6_000 });
  expect(zoomed(whole, whole, 0.5, 1)).toEqual({ from: 6_000, to: 11_000 });
  expect(zoomed({ from: 3_000, to: 5_000 }, whole, 2)).toEqual({ from: 2_000, to: 6_000 });
  expect(zoomed({ from: 3_000, to: 9_000 }, whole, 2)).toBeUndefined();
  const shortest = zoomed({ from: 5_000, to: 5_020 }, whole, 0.1);
  expect((shortest?.to ?? 0) - (shortest?.from ?? 0)).toBe(20);
});

test("what is shown stays within the whole; an address may say anything", () => {
  expect(moved({ from: 2_000, to: 4_000 }, whole, 1)).toEqual({ from: 4_000, to: 6_000 });
  expect(moved({ from: 8_000, to: 10_000 }, whole, 5)).toEqual({ from: 9_000, to: 11_000 });
  expect(moved({ from: 2_000, to: 4_000 }, whole, -5)).toEqual({ from: 1_000, to: 3_000 });
  expect(within({ from: 5, to: 5 }, whole)).toBeUndefined();
  expect(within({ from: 9, to: 5 }, whole)).toBeUndefined();
  expect(within({ from: Number.NaN, to: 5 }, whole)).toBeUndefined();
});

test("marks are at round local times, few enough", () => {
  const at = Date.UTC(2026, 0, 1, 10, 0, 7);
  expect(ticksOf({ from: at, to: at + 60_000 }, 6, 0)).toEqual({
    step: 10_000,
    at: [3, 13, 23, 33, 43, 53].map((seconds) => at + seconds * 1_000),
  });
  const india = 5.5 * 3_600_000;
  const hours = ticksOf({ from: at, to: at + 6 * 3_600_000 }, 6, india);
  expect(hours.at.every((one) => (one + india) % hours.step === 0)).toBe(true);
  const years = ticksOf({ from: 0, to: 40 * 365 * 86_400_000 }, 5, 0);
  expect(years.at.length).toBeLessThanOrEqual(6);
  expect(tickFormat(10_000, at, 0)).toHaveProperty("second");
  expect(tickFormat(60_000, at, 0)).not.toHaveProperty("second");
  expect(tickFormat(3_600_000, Date.UTC(2026, 0, 2), 0)).toHaveProperty("day");
});
