import { expect, test } from "vitest";

import { experimentSearch, experimentsSearch } from "../search";
import { nameProblem } from "./name";

test("a name is not blank and has at most 128 bytes, whatever its letters", () => {
  expect(nameProblem(" \t")).toBe("nameBlank");
  expect(nameProblem("a".repeat(128))).toBeUndefined();
  expect(nameProblem("a".repeat(129))).toBe("nameLong");
  expect(nameProblem("实".repeat(42))).toBeUndefined();
  expect(nameProblem("实".repeat(43))).toBe("nameLong");
});

test("addresses of experiments keep what is known", () => {
  const search = experimentsSearch({ name: 7, storage: "archived", state: "FAILED" });
  expect(search).toEqual({ name: "7", storage: "archived" });
  expect(experimentSearch({ experiment: "other", state: "FAILED" })).toEqual({ state: "FAILED" });
});
