/** The plan as lines, and what is wrong with it by the input that it is wrong with. */
import type { PlannedTask, Problem } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

const SHOWN_ITERATIONS = 3;
const SHOWN_LINES = 300;
const AT_INPUT = "runtime_config.parameters.";

export interface Line {
  readonly task: PlannedTask;
  readonly depth: number;
  /** Of a loop: iterations that have no lines. */
  readonly hidden: number;
}

export interface Lines {
  readonly lines: readonly Line[];
  readonly hidden: number;
}

/** Groups before what is in them; of a loop the first iterations. */
export function linesOf(tasks: readonly PlannedTask[], limit = SHOWN_LINES): Lines {
  const lines: Line[] = [];
  let hidden = 0;
  const add = (task: PlannedTask, depth: number) => {
    const shown = task.kind === "loop" ? task.children.slice(0, SHOWN_ITERATIONS) : task.children;
    if (lines.length < limit) lines.push({ task, depth, hidden: task.children.length - shown.length });
    else hidden++;
    for (const child of shown) add(child, depth + 1);
  };
  for (const task of tasks) add(task, 0);
  return { lines, hidden };
}

/** How many tasks that do something of their own there are of each decision. */
export function decisions(tasks: readonly PlannedTask[], found = new Map<string, number>()): Map<string, number> {
  for (const task of tasks) {
    if (task.kind === "container" || task.kind === "importer") {
      found.set(task.decision, (found.get(task.decision) ?? 0) + 1);
    }
    decisions(task.children, found);
  }
  return found;
}

/** Problems of inputs that have a field, by name; and all others. */
export function problemsOf(problems: readonly Problem[], inputs: ReadonlySet<string>) {
  const atInputs = new Map<string, string>();
  const others: Problem[] = [];
  for (const problem of problems) {
    const name = problem.place.startsWith(AT_INPUT) ? problem.place.slice(AT_INPUT.length) : undefined;
    if (name !== undefined && inputs.has(name)) atInputs.set(name, problem.message);
    else others.push(problem);
  }
  return { atInputs, others };
}
