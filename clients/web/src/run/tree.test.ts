import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { edgesBelow } from "./edges";
import { Forest } from "./forest";
import { firstFailed, pendingSince, rowsNamed, rowsOf, type Row } from "./tree";

const task = (path: string, parentPath: string, kind = "container", state = "SUCCEEDED") =>
  create(TaskSchema, {
    ...{ path, parentPath, kind, state, displayName: path },
    createdAt: timestampFromMs(kind === "loop" ? 2 : 1),
  });

const tasks = [
  task("", "", "dag"),
  task("load", ""),
  task("each", "", "loop"),
  task("each[0]", "each", "iteration"),
  task("each[1]", "each", "iteration", "FAILED"),
  task("each[0]/train", "each[0]"),
  task("each[0]/test", "each[0]"),
];

const forest = new Forest();
forest.merge(tasks);
const tree = forest.tree();
const said = (rows: readonly Row[]) => rows.map(({ node, depth }) => `${depth} ${node.task.path}`);
const shown = (...toggled: string[]) => said(rowsOf(tree, new Set(toggled)));

test("a loop is folded until it is opened, and the root is no row", () => {
  expect(shown()).toEqual(["0 load", "0 each"]);
  expect(shown("each")).toEqual(
    ["0 load", "0 each", "1 each[0]", "2 each[0]/test", "2 each[0]/train", "1 each[1]"],
  );
  expect(shown("each", "each[0]")).not.toContain("2 each[0]/train");
});

test("tasks are found by name, with what they are in", () => {
  expect(said(rowsNamed(tree, "TRAIN"))).toEqual(["0 each", "1 each[0]", "2 each[0]/train"]);
  expect(rowsNamed(tree, "nothing")).toEqual([]);
});

test("a loop counts its iterations by state", () => {
  expect([...(tree[1]?.counts ?? [])]).toEqual([["SUCCEEDED", 1], ["FAILED", 1]]);
});

test("what failed first is a task rather than the groups that it is in", () => {
  const failing = new Forest();
  failing.merge([
    task("", "", "dag", "FAILED"),
    task("load", ""),
    task("group", "", "dag", "FAILED"),
    task("group/fine", "group"),
    task("group/train", "group", "container", "FAILED"),
    task("later", "", "container", "FAILED"),
  ]);
  expect(firstFailed(failing.tree())?.path).toBe("group/train");
  expect(firstFailed(tree)).toBeUndefined();
});

test("what waits is what was to start some time ago", () => {
  const waiting = new Forest();
  waiting.merge([
    task("", "", "dag", "RUNNING"),
    task("load", ""),
    task("group", "", "dag", "RUNNING"),
    task("group/train", "group", "container", "PENDING"),
  ]);
  expect(pendingSince(waiting.tree(), 2).map(({ path }) => path)).toEqual(["group/train"]);
  expect(pendingSince(waiting.tree(), 1)).toEqual([]);
});

test("edges come from names and from outputs, inside of iterations too", () => {
  const producer = { taskOutputParameter: { producerTask: "train", outputParameterKey: "x" } };
  const document = {
    root: { dag: { tasks: { load: {}, each: { componentRef: { name: "body" }, dependentTasks: ["load", "gone"] } } } },
    components: { body: { dag: { tasks: { train: {}, test: { inputs: { parameters: { x: producer } } } } } } },
  };
  const nodes = tree;
  expect(edgesBelow(document, "", nodes)).toEqual([{ from: "load", to: "each" }]);
  const inner = nodes[1]?.children[0]?.children ?? [];
  expect(edgesBelow({ pipeline_spec: document }, "each[0]", inner)).toEqual([
    { from: "each[0]/train", to: "each[0]/test" },
  ]);
  expect(edgesBelow({ root: "nonsense" }, "a/b", nodes)).toEqual([]);
});
