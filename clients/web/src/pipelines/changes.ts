/**
 * What differs between the documents of two versions: their tasks by path, and the lines of the text.
 *
 * The keys of objects have no order, so both texts have them sorted. Documents may be large and differ altogether, so
 * the comparison of lines is given up after a while.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { structuredPatch, type StructuredPatchHunk } from "diff";

import type { Node } from "../run/tree";
import { documentTree } from "./tree";

const CONTEXT = 3;
const MOST_MS = 2_000;
export const MOST_LINES = 2_000;

export interface TaskChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export function taskChanges(before: JsonObject, after: JsonObject): TaskChanges {
  const old = tasks(before);
  const now = tasks(after);
  return {
    added: [...now.keys()].filter((path) => !old.has(path)),
    removed: [...old.keys()].filter((path) => !now.has(path)),
    changed: [...now].filter(([path, text]) => old.has(path) && old.get(path) !== text).map(([path]) => path),
  };
}

/** The changed lines with some around them; undefined when that would take too long. */
export function lineChanges(before: JsonObject, after: JsonObject): StructuredPatchHunk[] | undefined {
  const [old, now] = [before, after].map((document) => `${JSON.stringify(sorted(document), null, 2)}\n`);
  const options = { context: CONTEXT, timeout: MOST_MS };
  return structuredPatch("", "", old ?? "", now ?? "", undefined, undefined, options)?.hunks;
}

/** Each task with what it runs, as text. */
function tasks(document: JsonObject): Map<string, string> {
  const spec = object(document.pipeline_spec) ?? document;
  const components = object(spec.components) ?? {};
  const executors = object(object(spec.deploymentSpec)?.executors) ?? {};
  const found = new Map<string, string>();
  const walk = (component: JsonObject | undefined, nodes: readonly Node[]) => {
    for (const { task, children } of nodes) {
      const own = object(object(object(component?.dag)?.tasks)?.[lastOf(task.path)]);
      const inner = object(components[String(object(own?.componentRef)?.name)]);
      // The tasks of a group are told apart below it.
      const { dag: _, ...rest } = inner ?? {};
      const executor = executors[String(inner?.executorLabel)] ?? null;
      found.set(task.path, JSON.stringify(sorted([own ?? null, rest, executor])));
      walk(inner, children);
    }
  };
  walk(object(spec.root), documentTree(document).nodes);
  return found;
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

function object(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, of]) => [key, sorted(of)]),
  );
}
