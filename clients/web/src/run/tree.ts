/**
 * The tasks of a run as a tree, which table, graph and timeline all show.
 *
 * The root is not shown; a loop is folded until it is opened, everything else is open until it is folded.
 */
import { shownName, type Seen } from "./seen";

export interface Node {
  readonly task: Seen;
  readonly children: readonly Node[];
  /** How many of the children are in each state. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface Row {
  readonly node: Node;
  readonly depth: number;
  readonly open: boolean;
}

/** `toggled` are the paths that are the other way than they begin. */
export function isOpen(task: Seen, toggled: ReadonlySet<string>): boolean {
  return (task.kind !== "loop") !== toggled.has(task.path);
}

/** What is not folded away, parents before their children. */
export function rowsOf(nodes: readonly Node[], toggled: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (node: Node, depth: number) => {
    const open = isOpen(node.task, toggled);
    rows.push({ node, depth, open });
    if (open) for (const child of node.children) add(child, depth + 1);
  };
  for (const node of nodes) add(node, 0);
  return rows;
}

/** Tasks with a text in their names, in upper or lower case, and what they are in; folded or not. */
export function rowsNamed(nodes: readonly Node[], text: string): Row[] {
  const rows: Row[] = [];
  const wanted = text.toLowerCase();
  const add = (node: Node, depth: number): boolean => {
    const at = rows.length;
    rows.push({ node, depth, open: true });
    let found = shownName(node.task).toLowerCase().includes(wanted);
    for (const child of node.children) found = add(child, depth + 1) || found;
    // Nothing was added behind it then.
    if (!found) rows.length = at;
    return found;
  };
  for (const node of nodes) add(node, 0);
  return rows;
}

/** The node of a task, if it has come. */
export function nodeAt(nodes: readonly Node[], path: string): Node | undefined {
  for (const node of nodes) {
    const found = node.task.path === path ? node : nodeAt(node.children, path);
    if (found) return found;
  }
  return undefined;
}

/** The children's states, counted; while some have not come yet, as the server counted them. */
export function counts(task: Seen, children: readonly Node[]): ReadonlyMap<string, number> {
  let all = 0;
  for (const count of task.childCounts.values()) all += count;
  // Also where there are none: one empty map for all that have no children.
  if (children.length < all || children.length === 0) return task.childCounts;
  const found = new Map<string, number>();
  for (const child of children) found.set(child.task.state, (found.get(child.task.state) ?? 0) + 1);
  return found;
}

/** Tasks that were to start before a moment and have not. */
export function pendingSince(nodes: readonly Node[], before: number): Seen[] {
  return nodes.flatMap(({ task, children }) => {
    const waits = task.state === "PENDING" && (task.createdAt ?? before) < before;
    return [...(waits ? [task] : []), ...pendingSince(children, before)];
  });
}

/** What to look at first in a run that failed: a group fails because of a task in it. */
export function firstFailed(nodes: readonly Node[]): Seen | undefined {
  for (const { task, children } of nodes) {
    if (task.state !== "FAILED") continue;
    return firstFailed(children) ?? task;
  }
  return undefined;
}
