/** Which tasks wait for which, as the pipeline's document says. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import type { Edge, Group } from "../graph/layout";
import { isOpen, type Node } from "./tree";

/** The tasks as cards. Groups that are folded have none in them; a loop never has: it is one card. */
export function groupOf(
  document: JsonObject,
  nodes: readonly Node[],
  toggled: ReadonlySet<string>,
  path = "",
): Group {
  return {
    edges: edgesBelow(document, path, nodes),
    cards: nodes.map(({ task, children }) => {
      const unfolds = task.kind !== "loop" && isOpen(task, toggled) && children.length > 0;
      return { id: task.path, inside: unfolds ? groupOf(document, children, toggled, task.path) : undefined };
    }),
  };
}

/** The edges between the children of one group. `path` is that of the group, empty for the root. */
export function edgesBelow(document: JsonObject, path: string, children: readonly Node[]): Edge[] {
  const tasks = tasksOf(object(document.pipeline_spec) ?? document, path);
  const paths = new Map(children.map(({ task }) => [lastName(task.path), task.path]));
  const edges: Edge[] = [];
  for (const [name, to] of paths) {
    for (const before of dependencies(object(tasks[name]))) {
      const from = paths.get(before);
      if (from !== undefined) edges.push({ from, to });
    }
  }
  return edges;
}

function tasksOf(spec: JsonObject, path: string): JsonObject {
  let component = object(spec.root);
  for (const part of path === "" ? [] : path.split("/")) {
    const task = object(object(object(component?.dag)?.tasks)?.[withoutIteration(part)]);
    const name = object(task?.componentRef)?.name;
    component = typeof name === "string" ? object(object(spec.components)?.[name]) : undefined;
  }
  return object(object(component?.dag)?.tasks) ?? {};
}

/** Those it names, and those whose outputs it takes. */
function dependencies(task: JsonObject | undefined): Set<string> {
  const found = new Set<string>();
  const named = task?.dependentTasks;
  if (Array.isArray(named)) for (const one of named) if (typeof one === "string") found.add(one);
  const inputs = object(task?.inputs);
  for (const kind of [inputs?.parameters, inputs?.artifacts]) {
    for (const input of Object.values(object(kind) ?? {})) {
      for (const source of ["taskOutputParameter", "taskOutputArtifact"]) {
        const producer = object(object(input)?.[source])?.producerTask;
        if (typeof producer === "string") found.add(producer);
      }
    }
  }
  return found;
}

const lastName = (path: string): string => withoutIteration(path.slice(path.lastIndexOf("/") + 1));
const withoutIteration = (name: string): string => name.replace(/(\[\d+\])+$/, "");

function object(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}
