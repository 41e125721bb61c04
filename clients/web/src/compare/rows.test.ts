import { expect, test } from "vitest";

import { difference, metricRows, parameterRows, shown, shownDifference } from "./rows";
import { compareSearch, without } from "./search";

const run = (parameters: Record<string, unknown>, metrics: Record<string, number> = {}) => ({
  parameters: JSON.parse(JSON.stringify(parameters)),
  metrics,
});
const differing = (rows: ReturnType<typeof metricRows>) =>
  rows.filter(({ differs }) => differs).map(({ name }) => name);

test("what differs, and what one run alone has, is marked; the order of keys is no difference", () => {
  const rows = parameterRows([
    run({ rate: 0.5, model: { depth: 2, width: 3 }, seed: 1, kind: "1" }),
    run({ rate: 0.25, model: { width: 3, depth: 2 }, kind: 1 }),
  ]);
  expect(rows.map(({ name }) => name)).toEqual(["kind", "model", "rate", "seed"]);
  expect(differing(rows)).toEqual(["kind", "rate", "seed"]);
  expect(rows.at(-1)?.cells).toEqual([1, undefined]);
});

test("null is a value, and none is not", () => {
  expect(differing(parameterRows([run({ a: null }), run({})]))).toEqual(["a"]);
  expect(differing(parameterRows([run({ a: null }), run({ a: null })]))).toEqual([]);
});

test("a parameter may be called as what every object has", () => {
  const rows = parameterRows([run({}), run({ constructor: "x" })]);
  expect(rows).toEqual([{ name: "constructor", cells: [undefined, "x"], differs: true }]);
});

test("metrics that are no numbers are the same as themselves", () => {
  const rows = metricRows([run({}, { loss: NaN, zero: 0 }), run({}, { loss: NaN, zero: -0 })]);
  expect(differing(rows)).toEqual([]);
  expect(differing(metricRows([run({}, { loss: NaN }), run({}, { loss: 1 })]))).toEqual(["loss"]);
});

test("one run differs from nothing, and none have no rows", () => {
  expect(differing(metricRows([run({}, { loss: 1 })]))).toEqual([]);
  expect(metricRows([])).toEqual([]);
});

test("a text is told from the number or the value that is written like it", () => {
  expect(["1", 1, "true", true, "a b", null, undefined, { a: [1] }].map(shown)).toEqual([
    '"1"', "1", '"true"', "true", "a b", "null", "–", '{"a":[1]}',
  ]);
});

test("differences to the baseline have a sign and no digits of the subtraction's own", () => {
  const told = (a: number | undefined, b: number | undefined) => {
    const found = difference(a, b);
    return found === undefined ? undefined : shownDifference(found);
  };
  expect(told(0.93, 0.9)).toBe("+0.03");
  expect(told(0.9, 0.93)).toBe("−0.03");
  expect(told(1234567, 0)).toBe("+1234567");
  expect(told(1e-20, 3e-20)).toBe("−2e-20");
  expect(told(0.9, 0.9)).toBe("0");
  expect(told(Infinity, Infinity)).toBe("0");
  expect(told(1, undefined)).toBeUndefined();
  expect(told(undefined, 1)).toBeUndefined();
});

test("an address has each run once, whether it says one, a list, or what is none", () => {
  expect(compareSearch({ run: "a" })).toEqual({ run: ["a"] });
  expect(compareSearch({ run: ["b", 7, "b", "", null, {}], rows: "some" })).toEqual({ run: ["b", "7"] });
  expect(compareSearch({})).toEqual({});
});

test("a run that is taken out is no baseline either", () => {
  const search = { run: ["a", "b"], baseline: "a", namespace: "n" };
  expect(without(search, "a")).toEqual({ run: ["b"], namespace: "n" });
  expect(without(search, "b")).toEqual({ run: ["a"], baseline: "a", namespace: "n" });
});
