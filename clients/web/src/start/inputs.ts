/**
 * The inputs of a pipeline as its document declares them, and what is typed for them as values.
 *
 * A text that is undefined stands for no value. What is as the default says is left out, so that the server's default
 * counts, with all its digits. Nothing is guessed: a text is a value of the declared type, or it is wrong.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import { parsed, wholeNumber, written, type Exact } from "./exact";

const KINDS = ["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"] as const;
// As older documents say it, under another key.
const OLD_KINDS: Readonly<Record<string, Kind>> = { INT: "NUMBER_INTEGER", DOUBLE: "NUMBER_DOUBLE", STRING: "STRING" };
// JSON that is longer is shown on lines of its own.
const LINE = 60;
export type Kind = (typeof KINDS)[number];

export interface Input {
  readonly name: string;
  /** Undefined for what a run cannot be given. */
  readonly kind: Kind | undefined;
  readonly declared: string;
  readonly optional: boolean;
  readonly description: string;
  /** Undefined where there is none. */
  readonly byDefault: JsonValue | undefined;
  /** All values that it may have; any when there are none. */
  readonly literals: readonly JsonValue[];
}

export type Wrong = "required" | "noWholeNumber" | "noNumber" | "noBoolean" | "noList" | "noObject" | "noChoice";
export type Reading = { readonly value: Exact } | { readonly left: "out" } | { readonly wrong: Wrong };

/** Of a PipelineSpec, or of {"pipeline_spec", "platform_spec"}. Required ones come first. */
export function inputsOf(document: JsonObject): Input[] {
  const spec = object(document.pipeline_spec) ?? document;
  const declared = object(object(object(spec.root)?.inputDefinitions)?.parameters) ?? {};
  const inputs = Object.entries(declared).map(([name, definition]) => inputOf(name, object(definition) ?? {}));
  return [...inputs.filter(isRequired), ...inputs.filter((input) => !isRequired(input))];
}

export const isRequired = (input: Input): boolean => !input.optional && input.byDefault === undefined;

/** What stands in the field of an input at first, or for a value that it was given. */
export function textOf(input: Input, value: Exact | undefined = input.byDefault): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return input.kind === "STRING" ? value : written(value);
  const line = written(value);
  return line.length > LINE ? written(value, "  ") : line;
}

export function read(input: Input, text: string | undefined): Reading {
  if (text === textOf(input) && !isRequired(input)) return { left: "out" };
  if (text === undefined) return input.optional ? { value: null } : { wrong: "required" };
  if (input.literals.length > 0) {
    const found = input.literals.find((literal) => textOf(input, literal) === text);
    return found === undefined ? { wrong: "noChoice" } : { value: found };
  }
  if (input.kind === "STRING") return { value: text };
  const typed = text.trim();
  if (typed === "") return isRequired(input) ? { wrong: "required" } : { left: "out" };
  return readAs(input.kind, typed);
}

/** Whether a value of a document has lost digits here: it has come as doubles. */
export function isRounded(value: JsonValue | undefined): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === "object" && value !== null && Object.values(value).some(isRounded);
}

function readAs(kind: Kind | undefined, text: string): Reading {
  switch (kind) {
    case "NUMBER_INTEGER":
      return /^[+-]?\d{1,400}$/.test(text) ? { value: wholeNumber(text.replace("+", "")) } : { wrong: "noWholeNumber" };
    case "NUMBER_DOUBLE":
      return readNumber(text);
    case "BOOLEAN":
      return text === "true" || text === "false" ? { value: text === "true" } : { wrong: "noBoolean" };
    case "LIST":
      return readJson(text, (value) => Array.isArray(value), "noList");
    default:
      return readJson(text, (value) => object(value) !== undefined, "noObject");
  }
}

function readNumber(text: string): Reading {
  if (/^[+-]?\d{1,300}$/.test(text)) return { value: wholeNumber(text.replace("+", "")) };
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? { value: number } : { wrong: "noNumber" };
}

function readJson(text: string, fits: (value: Exact) => boolean, wrong: Wrong): Reading {
  try {
    const value = parsed(text);
    return fits(value) ? { value } : { wrong };
  } catch {
    return { wrong };
  }
}

function inputOf(name: string, definition: JsonObject): Input {
  const { parameterType, type, isOptional, description, defaultValue, literals } = definition;
  const declared = typeof parameterType === "string" ? parameterType : typeof type === "string" ? type : "";
  return {
    name,
    kind: KINDS.find((kind) => kind === declared) ?? OLD_KINDS[declared],
    declared,
    optional: isOptional === true,
    description: typeof description === "string" ? description : "",
    byDefault: defaultValue,
    literals: Array.isArray(literals) ? literals : [],
  };
}

function object(value: unknown): JsonObject | undefined {
  return isObject(value) ? value : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
