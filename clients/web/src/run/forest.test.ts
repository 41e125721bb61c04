import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { Forest } from "./forest";
import type { Node } from "./tree";

const task = (path: string, parentPath = "", state = "RUNNING", createdAt = 1, childCounts = {}) =>
  create(TaskSchema, { path, parentPath, state, name: path, createdAt: timestampFromMs(createdAt), childCounts });

const paths = (nodes: readonly Node[]): string[] => nodes.flatMap((node) => [node.task.path, ...paths(node.children)]);

test("children appear with their parent, in whatever order they come, in the order in which they were created", () => {
  const forest = new Forest();
  forest.merge([task("each[1]/x", "each[1]"), task("each[1]", "each", "RUNNING", 3)]);
  expect(paths(forest.tree())).toEqual([]);
  forest.merge([task("each[0]", "each", "RUNNING", 2), task("", "")]);
  forest.merge([task("each", "", "RUNNING", 1)]);
  expect(paths(forest.tree())).toEqual(["each", "each[0]", "each[1]", "each[1]/x"]);
  expect(forest.size).toBe(4);
});

test("a tree never changes and shares what did not change with the next", () => {
  const forest = new Forest();
  forest.merge([task("a"), task("b"), task("a/x", "a"), task("b/y", "b")]);
  const before = forest.tree();
  expect(forest.tree()).toBe(before);
  forest.merge([task("a/x", "a", "FAILED")]);
  const after = forest.tree();
  expect(after).not.toBe(before);
  expect(after[1]).toBe(before[1]);
  expect(before[0]?.children[0]?.task.state).toBe("RUNNING");
  expect(after[0]?.children[0]?.task.state).toBe("FAILED");
  expect([...(after[0]?.counts ?? [])]).toEqual([["FAILED", 1]]);
});

test("an older answer replaces nothing, and its counts hold until the children have come", () => {
  const forest = new Forest();
  forest.merge([task("a", "", "SUCCEEDED")]);
  forest.merge([task("a", "", "RUNNING"), task("b", "", "RUNNING", 1, { SUCCEEDED: 2 })], true);
  const [a, b] = forest.tree();
  expect([a?.task.state, b?.task.state]).toEqual(["SUCCEEDED", "RUNNING"]);
  expect([...(b?.counts ?? [])]).toEqual([["SUCCEEDED", 2]]);
  forest.merge([task("b/1", "b", "FAILED"), task("b/2", "b", "FAILED")]);
  expect([...(forest.tree()[1]?.counts ?? [])]).toEqual([["FAILED", 2]]);
});

test("tasks that name each other as parents hang nothing", () => {
  const forest = new Forest();
  forest.merge([task("a", "b"), task("b", "a"), task("c", "c"), task("d")]);
  expect(paths(forest.tree())).toEqual(["d"]);
});

test("a change of one of 50,000 tasks costs little", () => {
  const forest = new Forest();
  forest.merge(Array.from({ length: 50_000 }, (_, at) => task(`g${at % 500}/${at}`, `g${at % 500}`)));
  forest.merge(Array.from({ length: 500 }, (_, at) => task(`g${at}`)));
  forest.tree();
  const began = performance.now();
  for (let at = 0; at < 200; at++) {
    forest.merge([task(`g${at}/${at}`, `g${at}`, "FAILED")]);
    forest.tree();
  }
  // 0.01 s here; a tree made anew each time takes seconds.
  expect(performance.now() - began).toBeLessThan(2_000);
});
