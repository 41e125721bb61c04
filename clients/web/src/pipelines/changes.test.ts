import type { JsonObject } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { lineChanges, taskChanges } from "./changes";

const document = (image: string, ...names: string[]): JsonObject => ({
  root: {
    dag: {
      tasks: Object.fromEntries(
        names.map((name) => [name, { componentRef: { name: name === "loop" ? "comp-loop" : "comp-train" } }]),
      ),
    },
  },
  components: {
    "comp-loop": { dag: { tasks: { inner: { componentRef: { name: "comp-inner" } } } } },
    "comp-inner": { executorLabel: "inner" },
    "comp-train": { executorLabel: "train" },
  },
  deploymentSpec: { executors: { inner: { container: { image } }, train: { container: { image: "same" } } } },
});

test("tasks are added, removed, or changed with what they run", () => {
  const changes = taskChanges(document("one", "train", "loop"), document("two", "loop", "test"));
  expect(changes).toEqual({ added: ["test"], removed: ["train"], changed: ["loop/inner"] });
});

test("the order of keys is no change", () => {
  const before = document("one", "train", "loop");
  expect(taskChanges(before, document("one", "loop", "train"))).toEqual({ added: [], removed: [], changed: [] });
  expect(lineChanges(before, document("one", "loop", "train"))).toEqual([]);
});

test("lines that changed stand with those around them", () => {
  const [hunk, ...others] = lineChanges(document("one", "train"), document("two", "train")) ?? [];
  expect(others).toEqual([]);
  expect(hunk?.lines.filter((line) => !line.startsWith(" ")).map((line) => line.replaceAll(" ", ""))).toEqual([
    '-"image":"one"',
    '+"image":"two"',
  ]);
});

test("what is no pipeline is compared all the same", () => {
  expect(taskChanges({}, { root: 7, components: [] })).toEqual({ added: [], removed: [], changed: [] });
});
