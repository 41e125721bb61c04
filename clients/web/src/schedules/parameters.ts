/** The parameters of a pipeline, as its document declares them, and the JSON that somebody types for them. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import type { Key } from "../text/en";
import { fill } from "../text/fill";

export interface Definition {
  readonly type: string;
  readonly needed: boolean;
  readonly fallback: JsonValue | undefined;
}

/** Undefined where the document is not known. */
export type Definitions = ReadonlyMap<string, Definition> | undefined;

export interface Found {
  readonly parameters: JsonObject;
  readonly problem?: string;
}

const EMPTY: Readonly<Record<string, JsonValue>> = {
  STRING: "",
  NUMBER_INTEGER: 0,
  NUMBER_DOUBLE: 0,
  BOOLEAN: false,
  LIST: [],
  STRUCT: {},
};

/** `document` is a PipelineSpec, or has one with its platform's part. */
export function definitionsIn(document: JsonObject | undefined): Definitions {
  if (document === undefined) return undefined;
  const spec = objectIn(document.pipeline_spec) ?? document;
  const declared = objectIn(objectIn(objectIn(spec.root)?.inputDefinitions)?.parameters) ?? {};
  return new Map(
    Object.entries(declared).map(([name, value]) => {
      const { parameterType, defaultValue, isOptional } = objectIn(value) ?? {};
      const needed = defaultValue === undefined && isOptional !== true;
      return [name, { type: typeof parameterType === "string" ? parameterType : "", needed, fallback: defaultValue }];
    }),
  );
}

/** What has to be given, to be filled in. */
export function templateOf(definitions: Definitions): string {
  const needed = [...(definitions ?? [])].filter(([, { needed }]) => needed);
  return JSON.stringify(Object.fromEntries(needed.map(([name, { type }]) => [name, EMPTY[type] ?? null])), null, 2);
}

export function parametersOf(typed: string, definitions: Definitions, text: (key: Key) => string): Found {
  const refused = (problem: string): Found => ({ parameters: {}, problem });
  let value: JsonValue;
  try {
    value = typed.trim() === "" ? {} : JSON.parse(typed);
  } catch (error) {
    return refused(fill(text("notJson"), { reason: error instanceof Error ? error.message : "" }));
  }
  const parameters = objectIn(value);
  if (parameters === undefined) return refused(text("notAnObject"));
  if (definitions === undefined) return { parameters };
  for (const [name, given] of Object.entries(parameters)) {
    const type = definitions.get(name)?.type;
    if (type === undefined) return refused(fill(text("unknownParameter"), { name }));
    // Of other types the server takes more than one form.
    if (type === "STRING" && typeof given !== "string") return refused(fill(text("wrongParameter"), { name, type }));
  }
  for (const [name, { needed }] of definitions) {
    if (needed && !Object.hasOwn(parameters, name)) return refused(fill(text("missingParameter"), { name }));
  }
  return { parameters };
}

export function objectIn(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}
