/**
 * The tasks of a pipeline's document as the tree that the graph of a run shows, without states.
 *
 * A loop is a group around the tasks that it repeats. A document may be anything: what is no task is left out, and what
 * is nested too deep, or is too much, is not gone into.
 */
import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { TaskSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import type { Node } from "../run/tree";

const MAX_DEPTH = 30;
const MAX_TASKS = 2_000;

export function documentTree(document: JsonObject): Node[] {
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
      const displayName = text(object(task?.taskInfo)?.name) ?? name;
      const waiting = text(object(task?.triggerPolicy)?.condition) ?? "";
      const shown = create(TaskSchema, { path, parentPath, name, displayName, kind, waiting });
      return [{ task: shown, children: below(inner, path, depth + 1) }];
    });
  };
  return below(object(spec.root), "", 0);
}

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
