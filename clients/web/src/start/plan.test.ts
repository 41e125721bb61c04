import { create } from "@bufbuild/protobuf";
import { PlannedTaskSchema, ProblemSchema, type PlannedTask } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { decisions, linesOf, problemsOf } from "./plan";

const task = (path: string, kind = "container", decision = "RUN", children: PlannedTask[] = []) =>
  create(PlannedTaskSchema, { path, kind, decision, children });
const rounds = [0, 1, 2, 3, 4].map((n) => task(`l[${n}]`, "iteration", "RUN", [task(`l[${n}]/a`)]));
const plan = [task("first", "container", "CACHED"), task("l", "loop", "RUN", rounds)];

test("of a loop the first iterations have lines, and what is left over is counted", () => {
  const { lines, hidden } = linesOf(plan);
  expect(lines.map((line) => `${line.depth} ${line.task.path}`)).toEqual(
    ["0 first", "0 l", "1 l[0]", "2 l[0]/a", "1 l[1]", "2 l[1]/a", "1 l[2]", "2 l[2]/a"],
  );
  expect(lines[1]?.hidden).toBe(2);
  expect(hidden).toBe(0);
  expect(linesOf(plan, 3)).toMatchObject({ hidden: 5 });
});

test("groups decide nothing of their own, hidden iterations do", () => {
  expect([...decisions(plan)]).toEqual([["CACHED", 1], ["RUN", 5]]);
});

test("a problem is told at its input if that has a field", () => {
  const problem = (place: string) => create(ProblemSchema, { place, message: place });
  const found = problemsOf(
    ["runtime_config.parameters.a.b", "runtime_config.parameters.gone", "root.dag"].map(problem),
    new Set(["a.b"]),
  );
  expect([...found.atInputs.keys()]).toEqual(["a.b"]);
  expect(found.others.map(({ place }) => place)).toEqual(["runtime_config.parameters.gone", "root.dag"]);
});
