import { create } from "@bufbuild/protobuf";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { edgesBelow } from "./edges";
import { counts, rowsOf, treeOf } from "./tree";

const task = (path: string, parentPath: string, kind = "container", state = "SUCCEEDED") =>
  create(TaskSchema, { path, parentPath, kind, state, displayName: path });

const tasks = [
  task("", "", "dag"),
  task("load", ""),
  task("each", "", "loop"),
  task("each[0]", "each", "iteration"),
  task("each[1]", "each", "iteration", "FAILED"),
  task("each[0]/train", "each[0]"),
  task("each[0]/test", "each[0]"),
];

const shown = (...toggled: string[]) =>
  rowsOf(treeOf(tasks), new Set(toggled)).map(({ node, depth }) => `${depth} ${node.task.path}`);

test("a loop is folded until it is opened, and the root is no row", () => {
  expect(shown()).toEqual(["0 load", "0 each"]);
  expect(shown("each")).toEqual(
    ["0 load", "0 each", "1 each[0]", "2 each[0]/train", "2 each[0]/test", "1 each[1]"],
  );
  expect(shown("each", "each[0]")).not.toContain("2 each[0]/train");
});

test("a loop counts its iterations by state", () => {
  const loop = treeOf(tasks)[1];
  expect([...counts(loop?.children ?? [])]).toEqual([["SUCCEEDED", 1], ["FAILED", 1]]);
});

test("edges come from names and from outputs, inside of iterations too", () => {
  const producer = { taskOutputParameter: { producerTask: "train", outputParameterKey: "x" } };
  const document = {
    root: { dag: { tasks: { load: {}, each: { componentRef: { name: "body" }, dependentTasks: ["load", "gone"] } } } },
    components: { body: { dag: { tasks: { train: {}, test: { inputs: { parameters: { x: producer } } } } } } },
  };
  const nodes = treeOf(tasks);
  expect(edgesBelow(document, "", nodes)).toEqual([{ from: "load", to: "each" }]);
  const inner = nodes[1]?.children[0]?.children ?? [];
  expect(edgesBelow({ pipeline_spec: document }, "each[0]", inner)).toEqual([
    { from: "each[0]/train", to: "each[0]/test" },
  ]);
  expect(edgesBelow({ root: "nonsense" }, "a/b", nodes)).toEqual([]);
});
