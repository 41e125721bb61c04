/**
 * The tasks of a run by path, and as a tree that is made anew only where something has changed.
 *
 * Invariants: a tree that was given never changes, and shares with the next one every node below which nothing
 * happened, so that a change costs its ancestors and their children, not all tasks. Siblings are in the order in which
 * they were created. A task whose parent is not known yet is kept, and appears with it.
 */
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import { seenOf, type Seen } from "./seen";
import { counts, type Node } from "./tree";

/** The children of all that have none. */
const NONE: readonly Node[] = [];

export class Forest {
  readonly #tasks = new Map<string, Seen>();
  readonly #nodes = new Map<string, Node>();
  readonly #below = new Map<string, string[]>();
  readonly #unsorted = new Set<string>();
  /** Paths whose node is not as it should be; with one all its ancestors are in here. */
  readonly #changed = new Set<string>();
  readonly #counts = new Map<string, ReadonlyMap<string, number>>();
  readonly #texts = new Map<string, string>();
  #tree: readonly Node[] = [];
  #version = 0;

  /** How many there are, the root aside. */
  get size(): number {
    return this.#tasks.size;
  }

  /** Takes tasks as they are now. Those of an older answer do not replace what is known already. */
  merge(tasks: readonly Task[], older = false): void {
    this.#version += 1;
    for (const task of tasks) {
      const known = this.#tasks.get(task.path);
      if (task.path === "" || task.path === task.parentPath || (known && older)) continue;
      const seen = seenOf(task, this.#version, this.#same);
      this.#tasks.set(seen.path, seen);
      if (!known) this.#add(seen);
      this.#mark(seen);
    }
  }

  tree(): readonly Node[] {
    if (this.#changed.delete("")) this.#tree = this.#children("");
    return this.#tree;
  }

  #add({ path, parentPath }: Seen): void {
    const siblings = this.#below.get(parentPath);
    if (siblings) siblings.push(path);
    else this.#below.set(parentPath, [path]);
    this.#unsorted.add(parentPath);
  }

  #mark(seen: Seen): void {
    this.#changed.add(seen.path);
    let above = seen.parentPath;
    while (!this.#changed.has(above)) {
      this.#changed.add(above);
      const parent = this.#tasks.get(above);
      if (!parent) return;
      above = parent.parentPath;
    }
  }

  #children(parent: string): readonly Node[] {
    const paths = this.#below.get(parent);
    if (!paths) return NONE;
    if (this.#unsorted.delete(parent)) this.#sort(paths);
    const nodes: Node[] = [];
    for (const path of paths) {
      const node = this.#node(path);
      if (node) nodes.push(node);
    }
    return nodes;
  }

  #node(path: string): Node | undefined {
    const task = this.#tasks.get(path);
    if (task && this.#changed.delete(path)) {
      const children = this.#children(path);
      this.#nodes.set(path, { task, children, counts: this.#shared(counts(task, children)) });
    }
    return this.#nodes.get(path);
  }

  #sort(paths: string[]): void {
    const sorted = paths
      .map((path) => ({ path, task: this.#tasks.get(path) }))
      .sort((a, b) => order(a.task, b.task) || (a.path < b.path ? -1 : 1));
    for (const [index, { path }] of sorted.entries()) paths[index] = path;
  }

  /** One copy of counts of one state: those of most iterations. */
  #shared(found: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const [only] = found;
    if (found.size !== 1 || !only) return found;
    const key = `${only[1]} ${only[0]}`;
    const known = this.#counts.get(key) ?? found;
    this.#counts.set(key, known);
    return known;
  }

  readonly #same = (text: string): string => {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  };
}

function order(a: Seen | undefined, b: Seen | undefined): number {
  return (a?.createdAt ?? 0) - (b?.createdAt ?? 0) || (a?.iterationIndex ?? 0) - (b?.iterationIndex ?? 0);
}
