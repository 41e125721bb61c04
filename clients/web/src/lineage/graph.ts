/**
 * A lineage as cards and edges.
 *
 * An id says what a card is for: `a NAME` for an artifact, `t RUN PATH` for a task. Neither names of artifacts nor ids of
 * runs have spaces in them.
 */
import type {
  Lineage,
  LineageArtifact,
  LineageTask,
} from "@penstock/client/gen/penstock_api/v1/insight_pb.js";

import type { Group } from "../graph/layout";
import type { LineageSearch } from "./search";

export type Node =
  | { readonly kind: "artifact"; readonly found: LineageArtifact }
  | { readonly kind: "task"; readonly found: LineageTask };

export interface LineageGraph {
  readonly nodes: ReadonlyMap<string, Node>;
  readonly group: Group;
}

const ofArtifact = (name: string): string => `a ${name}`;
const ofTask = (runId: string, path: string): string => `t ${runId} ${path}`;

export function graphOf({ artifacts, tasks, uses }: Lineage): LineageGraph {
  const nodes = new Map<string, Node>();
  for (const found of artifacts) nodes.set(ofArtifact(found.artifact?.name ?? ""), { kind: "artifact", found });
  for (const found of tasks) nodes.set(ofTask(found.runId, found.path), { kind: "task", found });
  // An artifact that a task has under several ports is one edge.
  const edges = new Map(
    uses.map(({ runId, path, artifact, output }) => {
      const [thing, task] = [ofArtifact(artifact), ofTask(runId, path)];
      const edge = output ? { from: task, to: thing } : { from: thing, to: task };
      return [`${edge.from} > ${edge.to}`, edge];
    }),
  );
  return { nodes, group: { cards: [...nodes.keys()].map((id) => ({ id })), edges: [...edges.values()] } };
}

/** The card of what the address asks for. */
export function startOf({ artifact, run, task }: LineageSearch): string {
  return artifact === undefined ? ofTask(run ?? "", task ?? "") : ofArtifact(artifact);
}

/** What an address says to ask for a node. */
export function asked(node: Node): Pick<LineageSearch, "artifact" | "run" | "task"> {
  if (node.kind === "artifact") return { artifact: node.found.artifact?.name ?? "" };
  return { run: node.found.runId, task: node.found.path };
}

/** As people call it. */
export function titleOf(node: Node): string {
  if (node.kind === "task") return node.found.displayName || node.found.path;
  return node.found.artifact?.displayName || node.found.artifact?.name || "";
}
