import { expect, test } from "vitest";

import { complaint, lastPart, linkable } from "./words";

test("what the server says against an upload is shown, else its status", () => {
  const said = JSON.stringify({ error_message: "Failed to upload pipeline: x", error_details: "root: no tasks" });
  expect(complaint("HTTP 400", said)).toBe("root: no tasks");
  expect(complaint("HTTP 401", '{"code": 16, "message": "who are you?"}')).toBe("who are you?");
  for (const body of ["<html>", "null", '{"message": ""}', "7"]) {
    expect(complaint("HTTP 502 Bad Gateway", body)).toBe("HTTP 502 Bad Gateway");
  }
});

test("an address is called as its last part", () => {
  expect(lastPart("https://example.com/a/train.yaml?token=a/b#c")).toBe("train.yaml");
  expect(lastPart("https://example.com/a/")).toBe("");
});

test("a link leads to a page, never to a script", () => {
  expect(linkable("https://example.com/a")).toBe("https://example.com/a");
  const others = ["javascript:alert(1)", " https://x", "data:text/html,x", "//example.com", "https://", "main.py"];
  for (const text of others) expect(linkable(text)).toBeUndefined();
});
