/**
 * The tasks of a run as a tree, which table, graph and timeline all show.
 *
 * The root is not shown; a loop is folded until it is opened, everything else is open until it is folded.
 */
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

export interface Node {
  readonly task: Task;
  readonly children: readonly Node[];
}

export interface Row {
  readonly node: Node;
  readonly depth: number;
}

export function treeOf(tasks: readonly Task[]): readonly Node[] {
  const below = new Map<string, Task[]>();
  for (const task of tasks) {
    if (task.path === "") continue;
    const siblings = below.get(task.parentPath);
    if (siblings) siblings.push(task);
    else below.set(task.parentPath, [task]);
  }
  const nodes = (parent: string): Node[] =>
    (below.get(parent) ?? []).map((task) => ({ task, children: nodes(task.path) }));
  return nodes("");
}

/** `toggled` are the paths that are the other way than they begin. */
export function isOpen(task: Task, toggled: ReadonlySet<string>): boolean {
  return (task.kind !== "loop") !== toggled.has(task.path);
}

/** What is not folded away, parents before their children. */
export function rowsOf(nodes: readonly Node[], toggled: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (node: Node, depth: number) => {
    rows.push({ node, depth });
    if (isOpen(node.task, toggled)) for (const child of node.children) add(child, depth + 1);
  };
  for (const node of nodes) add(node, 0);
  return rows;
}

/** How many of the nodes are in each state. */
export function counts(nodes: readonly Node[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const { task } of nodes) found.set(task.state, (found.get(task.state) ?? 0) + 1);
  return found;
}
