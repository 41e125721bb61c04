import { expect, test } from "vitest";

import type { Node } from "../run/tree";
import { documentTree } from "./tree";

const paths = (nodes: readonly Node[]): string[] =>
  nodes.flatMap(({ task, children }) => [`${task.path} ${task.kind}`.trim(), ...paths(children)]);

test("groups and loops are around their tasks, with and without a platform spec", () => {
  const document = {
    root: {
      dag: {
        tasks: {
          load: { componentRef: { name: "import" }, taskInfo: { name: "Load it" } },
          each: { componentRef: { name: "body" }, parameterIterator: { itemInput: "x" } },
          maybe: { componentRef: { name: "body" }, triggerPolicy: { condition: "inputs.x == 1" } },
        },
      },
    },
    components: {
      body: { dag: { tasks: { train: { componentRef: { name: "gone" } } } } },
      import: { executorLabel: "e" },
    },
    deploymentSpec: { executors: { e: { importer: {} } } },
  };
  const expected = ["load importer", "each repeated", "each/train", "maybe group", "maybe/train"];
  expect(paths(documentTree(document).nodes)).toEqual(expected);
  expect(paths(documentTree({ pipeline_spec: document }).nodes)).toEqual(expected);
  expect(documentTree(document).nodes[0]?.task.name).toBe("Load it");
  expect(documentTree(document).conditions).toEqual(new Map([["maybe", "inputs.x == 1"]]));
});

test("a component inside of itself, and nonsense, end", () => {
  const task = { componentRef: { name: "a" } };
  const a = { dag: { tasks: { y: task, z: task } } };
  const inItself = { root: { dag: { tasks: { x: task } } }, components: { a } };
  expect(paths(documentTree(inItself).nodes).length).toBeLessThanOrEqual(2_000);
  expect(documentTree({ root: { dag: { tasks: { x: 7 } } } }).nodes).toHaveLength(1);
  expect(documentTree({ root: [] }).nodes).toEqual([]);
});
