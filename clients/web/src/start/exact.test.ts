import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";

import { messageOf, parsed, valueOf, written, type Exact } from "./exact";

const throughTheWire = (value: Exact) =>
  valueOf(fromBinary(ValueSchema, toBinary(ValueSchema, messageOf(value))));

test("whole numbers keep their digits from text to message and back, wherever they are", () => {
  const text = '{"a":[9007199254740993,-9007199254740993,1],"b":{"c":123456789012345678901234567890}}';
  const value = parsed(text);
  expect(value).toEqual({ a: [9007199254740993n, -9007199254740993n, 1], b: { c: 123456789012345678901234567890n } });
  expect(throughTheWire(value)).toEqual(value);
  expect(written(throughTheWire(value))).toBe(text);
});

test("everything else is what JSON says", () => {
  const text = '[null,true,"\\u0000<script>",0.1,1e+300,{},[],{"__proto__":{"x":1}}]';
  const value = parsed(text);
  expect(written(value)).toBe(text);
  expect(throughTheWire(value)).toEqual(value);
  expect(written(value, "  ")).toBe(JSON.stringify(JSON.parse(text), null, 2));
});

test("digits that belong to another double are not believed", () => {
  const message = messageOf(9007199254740993n);
  message.kind = { case: "numberValue", value: 2 ** 60 };
  expect(valueOf(message)).toBe(2n ** 60n);
});

test("a number that no double comes near is refused, not made infinite", () => {
  expect(() => messageOf(10n ** 400n)).toThrow(RangeError);
});
