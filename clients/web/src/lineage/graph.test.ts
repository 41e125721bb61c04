import { create } from "@bufbuild/protobuf";
import { LineageSchema } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { expect, test } from "vitest";

import { asked, graphOf, startOf, titleOf } from "./graph";
import { lineageSearch } from "./search";

const lineage = create(LineageSchema, {
  artifacts: [{ artifact: { name: "d", displayName: "data", runId: "r1" } }, { artifact: { name: "m" } }],
  tasks: [
    { runId: "r1", path: "prepare", displayName: "Prepare it" },
    { runId: "r2", path: "group/train" },
  ],
  uses: [
    { runId: "r1", path: "prepare", artifact: "d", output: true, port: "out" },
    { runId: "r2", path: "group/train", artifact: "d", port: "in" },
    { runId: "r2", path: "group/train", artifact: "d", port: "again" },
    { runId: "r2", path: "group/train", artifact: "m", output: true, port: "model" },
  ],
});

test("edges lead from what was there before, once for each pair", () => {
  const { group, nodes } = graphOf(lineage);
  expect(group.cards.map(({ id }) => id)).toEqual(["a d", "a m", "t r1 prepare", "t r2 group/train"]);
  expect(group.edges).toEqual([
    { from: "t r1 prepare", to: "a d" },
    { from: "a d", to: "t r2 group/train" },
    { from: "t r2 group/train", to: "a m" },
  ]);
  expect([...nodes.values()].map(titleOf)).toEqual(["data", "m", "Prepare it", "group/train"]);
});

test("what an address asks for is a card, and a card is what an address asks for", () => {
  const { nodes } = graphOf(lineage);
  for (const [id, node] of nodes) expect(startOf(lineageSearch({ ...asked(node) }))).toBe(id);
});

test("an address may say anything", () => {
  const kept = (found: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(lineageSearch(found)).filter(([, value]) => value !== undefined));
  expect(kept({ depth: 3, direction: "up", from: -1, artifact: 7 })).toEqual({ artifact: "7" });
  expect(kept({ depth: "10", direction: "forwards", task: "t" })).toEqual({
    depth: 10,
    direction: "forwards",
    task: "t",
  });
  expect(kept({ depth: 4 })).toEqual({});
});
