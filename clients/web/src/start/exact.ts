/**
 * JSON with whole numbers in full: as text, as values, and as the messages that carry them.
 *
 * A double holds whole numbers up to 2^53 only. A greater one is a bigint here; in a message its digits go along in a
 * field of their own (penstock_api/v1/whole_number.proto). What is read and written again is the same.
 */
import { create, fromBinary, mergeFromBinary, toBinary } from "@bufbuild/protobuf";
import { ValueSchema, type Value } from "@bufbuild/protobuf/wkt";
import { WholeNumberSchema } from "@penstock/client/gen/penstock_api/v1/whole_number_pb.js";

export type Exact = null | boolean | number | bigint | string | readonly Exact[] | { readonly [key: string]: Exact };

/** Throws SyntaxError. */
export function parsed(text: string): Exact {
  return JSON.parse(text, (_, value: unknown, context?: { source?: string }) => {
    const digits = context?.source ?? "";
    return typeof value === "number" && /^-?\d+$/.test(digits) ? wholeNumber(digits) : value;
  });
}

/** A number where it is exact, else a bigint. */
export function wholeNumber(digits: string): number | bigint {
  const near = Number(digits);
  return Number.isSafeInteger(near) ? near : BigInt(digits);
}

/** Indented as JSON is for readers; one line without `indent`. */
export function written(value: Exact, indent = "", before = "\n"): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = before + indent;
  const parts = isList(value)
    ? value.map((item) => written(item, indent, inner))
    : Object.entries(value).map(
        ([key, item]) => `${JSON.stringify(key)}:${indent && " "}${written(item, indent, inner)}`,
      );
  const [open, close] = isList(value) ? ["[", "]"] : ["{", "}"];
  if (parts.length === 0) return open + close;
  return indent ? open + inner + parts.join(`,${inner}`) + before + close : open + parts.join(",") + close;
}

/** Throws RangeError for a number that is greater than any double. */
export function messageOf(value: Exact): Value {
  if (value === null) return create(ValueSchema, { kind: { case: "nullValue", value: 0 } });
  if (typeof value === "boolean") return create(ValueSchema, { kind: { case: "boolValue", value } });
  if (typeof value === "string") return create(ValueSchema, { kind: { case: "stringValue", value } });
  if (typeof value === "number" || typeof value === "bigint") return numberMessage(value);
  if (isList(value)) {
    return create(ValueSchema, { kind: { case: "listValue", value: { values: value.map(messageOf) } } });
  }
  const fields = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, messageOf(item)]));
  return create(ValueSchema, { kind: { case: "structValue", value: { fields } } });
}

export function valueOf(message: Value): Exact {
  const { kind } = message;
  if (kind.case === "numberValue") return exactNumber(message, kind.value);
  if (kind.case === "listValue") return kind.value.values.map(valueOf);
  if (kind.case === "structValue") {
    return Object.fromEntries(Object.entries(kind.value.fields).map(([key, item]) => [key, valueOf(item)]));
  }
  return kind.case === "stringValue" || kind.case === "boolValue" ? kind.value : null;
}

function numberMessage(value: number | bigint): Value {
  const near = Number(value);
  if (!Number.isFinite(near)) throw new RangeError("the number is too great");
  const message = create(ValueSchema, { kind: { case: "numberValue", value: near } });
  if (typeof value === "number") return message;
  const digits = create(WholeNumberSchema, { digits: new TextEncoder().encode(String(value)) });
  return mergeFromBinary(ValueSchema, message, toBinary(WholeNumberSchema, digits));
}

function exactNumber(message: Value, near: number): number | bigint {
  if (Number.isSafeInteger(near) || !Number.isInteger(near)) return near;
  const { digits } = fromBinary(WholeNumberSchema, toBinary(ValueSchema, message));
  const text = new TextDecoder().decode(digits);
  if (/^-?\d{1,400}$/.test(text) && Number(text) === near) return BigInt(text);
  // From there on JSON is written with exponents.
  return Math.abs(near) < 1e21 ? BigInt(near) : near;
}

function isList(value: readonly Exact[] | { readonly [key: string]: Exact }): value is readonly Exact[] {
  return Array.isArray(value);
}
