import { expect, test } from "vitest";

import { en, type Key } from "../text/en";
import { accessSearch } from "./search";
import { choices, deedWords, holder, resultWord, roleWords, sourceWord, VERBS } from "./words";

const text = (key: Key): string => en[key];

test("a deed is told in words, and by the name of the call where nothing else is known of it", () => {
  const method = "/penstock.v1.AccessService/CreateToken";
  expect(deedWords(text, { verb: "create", resource: "tokens", method })).toBe("Make token");
  expect(deedWords(text, { verb: "list", resource: "jobs", method })).toBe("See every recurring run");
  expect(deedWords(text, { verb: "", resource: "", method })).toBe("CreateToken");
});

test("what a newer server says stays as it is, also where it has the name of something else", () => {
  expect(deedWords(text, { verb: "paint", resource: "toString", method: "" })).toBe("paint toString");
  expect(resultWord(text, "constructor")).toBe("constructor");
  expect(sourceWord(text, "carrier-pigeon")).toBe("carrier-pigeon");
});

test("a role says where it holds, and whose it is", () => {
  expect(roleWords(text, { role: "editor", namespace: "team-a" })).toBe("Editor in team-a");
  expect(roleWords(text, { role: "admin", namespace: "*" })).toBe("Administrator in all namespaces");
  expect(holder(text, { user: "", group: "auditors" })).toBe("Group auditors");
  expect(holder(text, { user: "{name}", group: "" })).toBe("{name}");
});

test("a filter offers everything first", () => {
  const offered = choices(text, "anyDeed", VERBS);
  expect(offered[0]).toEqual({ value: "", label: "Any deed" });
  expect(offered).toContainEqual({ value: "readArtifact", label: "Read artifact of" });
});

test("an address keeps what is known, and nothing else", () => {
  const found = { tab: "audit", all: "true", verb: "toString", resource: "runs", result: "OK", user: 7, secret: "pst_" };
  expect(accessSearch(found)).toEqual({ tab: "audit", resource: "runs", result: "OK", user: "7" });
  expect(accessSearch({ tab: "keys", all: true, page: 12 })).toEqual({ all: true, page: "12" });
});
