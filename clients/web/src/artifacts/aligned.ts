/** Curves in the form that the chart wants: one list of x for all, in order, and for each curve its y, null where it
 * has no point. A curve that rises vertically has several points at one x, so the list has that x as often. */
import type { Point } from "./metrics";

export function aligned(curves: readonly (readonly Point[])[]): [number[], ...(number | null)[][]] {
  const times = new Map<number, number>();
  for (const curve of curves) {
    for (const [x, ys] of byX(curve)) times.set(x, Math.max(times.get(x) ?? 0, ys.length));
  }
  const places = [...times].sort(([a], [b]) => a - b);
  return [
    places.flatMap(([x, count]) => Array<number>(count).fill(x)),
    ...curves.map((curve) => {
      const own = byX(curve);
      return places.flatMap(([x, count]) => Array.from({ length: count }, (_, time) => own.get(x)?.[time] ?? null));
    }),
  ];
}

function byX(curve: readonly Point[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const { falsePositives, truePositives } of curve) {
    const ys = found.get(falsePositives);
    if (ys) ys.push(truePositives);
    else found.set(falsePositives, [truePositives]);
  }
  return found;
}
