/**
 * The tasks of a pipeline's document as the tree that the graph of a run shows, without states.
 *
 * A loop is a group around the tasks that it repeats. A document may be anything: what is no task is left out, and what
 * is nested too deep, or is too much, is not gone into.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import type { Seen } from "../run/seen";
import type { Node } from "../run/tree";

const MAX_DEPTH = 30;
const MAX_TASKS = 2_000;

const NO_COUNTS: ReadonlyMap<string, number> = new Map();

export interface DocumentTree {
  readonly nodes: readonly Node[];
  /** Under what condition a task runs, by its path. */
  readonly conditions: ReadonlyMap<string, string>;
}

export function documentTree(document: JsonObject): DocumentTree {
  const conditions = new Map<string, string>();
  const spec = object(document.pipeline_spec) ?? document;
  const components = object(spec.components) ?? {};
  let left = MAX_TASKS;
  const below = (component: JsonObject | undefined, parentPath: string, depth: number): Node[] => {
    const tasks = depth < MAX_DEPTH ? Object.entries(object(object(component?.dag)?.tasks) ?? {}) : [];
    return tasks.flatMap(([name, value]): Node[] => {
      if (left === 0) return [];
      left--;
      const task = object(value);
      const inner = named(components, object(task?.componentRef)?.name);
      const path = parentPath === "" ? name : `${parentPath}/${name}`;
      const kind = kindOf(task, inner, spec);
      const condition = text(object(task?.triggerPolicy)?.condition);
      if (condition) conditions.set(path, condition);
      const shown = seenOf(path, parentPath, text(object(task?.taskInfo)?.name) ?? name, kind);
      return [{ task: shown, children: below(inner, path, depth + 1), counts: NO_COUNTS }];
    });
  };
  return { nodes: below(object(spec.root), "", 0), conditions };
}

/** As a task of a run that has not begun. */
const seenOf = (path: string, parentPath: string, name: string, kind: string): Seen => ({
  path,
  parentPath,
  name,
  kind,
  state: "",
  createdAt: undefined,
  startedAt: undefined,
  finishedAt: undefined,
  iterationIndex: undefined,
  childCounts: NO_COUNTS,
  version: 0,
});

function kindOf(task: JsonObject | undefined, component: JsonObject | undefined, spec: JsonObject): string {
  if (task?.parameterIterator ?? task?.artifactIterator) return "repeated";
  if (component?.dag) return "group";
  const executor = named(object(object(spec.deploymentSpec)?.executors), component?.executorLabel);
  return executor?.importer ? "importer" : "";
}

function named(found: JsonObject | undefined, name: JsonValue | undefined): JsonObject | undefined {
  return typeof name === "string" && found && Object.hasOwn(found, name) ? object(found[name]) : undefined;
}

const text = (value: JsonValue | undefined): string | undefined => (typeof value === "string" ? value : undefined);

function object(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}
