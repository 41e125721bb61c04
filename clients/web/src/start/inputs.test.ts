import { expect, test } from "vitest";

import { inputsOf, read, textOf, type Input } from "./inputs";

const spec = (parameters: object) =>
  JSON.parse(JSON.stringify({ root: { inputDefinitions: { parameters } } }));
const input = (definition: object): Input => {
  const [found] = inputsOf(spec({ x: definition }));
  if (!found) throw new Error("no input");
  return found;
};
const of = (parameterType: string, more: object = {}) => input({ parameterType, ...more });

test("inputs are found with and without a platform spec, required ones first, and in nonsense none", () => {
  const document = spec({ a: { parameterType: "STRING", defaultValue: "" }, b: { type: "INT" }, c: 7 });
  expect(inputsOf({ pipeline_spec: document }).map(({ name, kind }) => [name, kind])).toEqual(
    [["b", "NUMBER_INTEGER"], ["c", undefined], ["a", "STRING"]],
  );
  expect(inputsOf({})).toEqual([]);
  expect(inputsOf({ root: "nonsense" })).toEqual([]);
});

test("what is empty is required, null or the default, as the input says", () => {
  for (const kind of ["NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"]) {
    expect(read(of(kind), " ")).toEqual({ wrong: "required" });
    expect(read(of(kind, { isOptional: true }), "")).toEqual({ left: "out" });
  }
  expect(read(of("STRING"), undefined)).toEqual({ wrong: "required" });
  expect(read(of("STRING"), "")).toEqual({ value: "" });
  const optional = of("NUMBER_INTEGER", { isOptional: true, defaultValue: 5 });
  expect(textOf(optional)).toBe("5");
  expect(read(optional, "5")).toEqual({ left: "out" });
  expect(read(optional, "")).toEqual({ left: "out" });
  expect(read(optional, undefined)).toEqual({ value: null });
  expect(read(of("STRING", { isOptional: true }), undefined)).toEqual({ left: "out" });
  expect(read(of("STRING", { isOptional: true }), "")).toEqual({ value: "" });
});

test("numbers are numbers, of any size", () => {
  expect(read(of("NUMBER_INTEGER"), " -12 ")).toEqual({ value: -12 });
  expect(read(of("NUMBER_INTEGER"), "9007199254740993")).toEqual({ value: 9007199254740993n });
  expect(read(of("NUMBER_INTEGER"), "+9007199254740993")).toEqual({ value: 9007199254740993n });
  for (const text of ["1.5", "1e3", "0x10", "twelve", "1 2", "9".repeat(401)]) {
    expect(read(of("NUMBER_INTEGER"), text)).toEqual({ wrong: "noWholeNumber" });
  }
  expect(read(of("NUMBER_DOUBLE"), ".5e-3")).toEqual({ value: 0.0005 });
  expect(read(of("NUMBER_DOUBLE"), "3")).toEqual({ value: 3 });
  for (const text of ["NaN", "Infinity", "1e999", "1,5", ""]) {
    expect(read(of("NUMBER_DOUBLE"), text)).toHaveProperty("wrong");
  }
});

test("lists and objects are JSON of that kind, or wrong", () => {
  expect(read(of("LIST"), "[1, 9007199254740993]")).toEqual({ value: [1, 9007199254740993n] });
  expect(read(of("STRUCT"), '{"a": null}')).toEqual({ value: { a: null } });
  for (const text of ["[1,", "{}", "null", "1", "[1] 2", "[".repeat(100_000)]) {
    expect(read(of("LIST"), text)).toEqual({ wrong: "noList" });
  }
  for (const text of ["{a: 1}", "[]", "null", '"{}"']) {
    expect(read(of("STRUCT"), text)).toEqual({ wrong: "noObject" });
  }
  expect(read(of("BOOLEAN"), "false")).toEqual({ value: false });
  expect(read(of("BOOLEAN"), "yes")).toEqual({ wrong: "noBoolean" });
});

test("a default is shown as it is typed, and left out as long as it stays", () => {
  const struct = of("STRUCT", { defaultValue: { a: [1] } });
  expect(textOf(struct)).toBe('{"a":[1]}');
  const long = "x".repeat(60);
  expect(textOf(of("STRUCT", { defaultValue: { a: [long] } }))).toBe(`{\n  "a": [\n    "${long}"\n  ]\n}`);
  expect(read(struct, textOf(struct))).toEqual({ left: "out" });
  expect(read(struct, '{"a":[2]}')).toEqual({ value: { a: [2] } });
  expect(textOf(of("LIST"), [9007199254740993n])).toBe("[9007199254740993]");
  expect(textOf(of("STRING"), "a\nb")).toBe("a\nb");
  expect(textOf(of("STRING"), null)).toBeUndefined();
});

test("of choices one is taken, with its type", () => {
  const choices = of("NUMBER_INTEGER", { literals: [1, 2], defaultValue: 1 });
  expect(read(choices, "2")).toEqual({ value: 2 });
  expect(read(choices, "3")).toEqual({ wrong: "noChoice" });
  expect(read(choices, "1")).toEqual({ left: "out" });
});
