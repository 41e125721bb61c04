/** Places the nodes of a graph with ELK, which works in a worker of its own so that the page never stands still. */
import type { JsonObject } from "@bufbuild/protobuf";
import ELK, { type ElkNode } from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";

import { edgesBelow } from "./edges";
import { isOpen, type Node } from "./tree";

const WIDTH = 220;
const HEIGHT = 64;
const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.padding": "[top=76,left=16,bottom=16,right=16]",
};

export interface Placed {
  readonly node: Node;
  readonly parent: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  /** Parents before their children; places are relative to the parent. */
  readonly nodes: readonly Placed[];
  readonly edges: readonly { readonly from: string; readonly to: string }[];
}

let elk: InstanceType<typeof ELK> | undefined;

/** Groups that are folded have no children; a loop never has: it is one node. */
export async function layoutOf(
  document: JsonObject,
  tree: readonly Node[],
  toggled: ReadonlySet<string>,
): Promise<Layout> {
  elk ??= new ELK({ workerUrl });
  const edges: { from: string; to: string }[] = [];
  const found = new Map<string, Node>();
  const graph = (path: string, children: readonly Node[]): Pick<ElkNode, "children" | "edges"> => {
    const own = edgesBelow(document, path, children);
    edges.push(...own);
    return {
      children: children.map((node): ElkNode => {
        found.set(node.task.path, node);
        const unfolds = node.task.kind !== "loop" && isOpen(node.task, toggled) && node.children.length > 0;
        const inside = unfolds ? graph(node.task.path, node.children) : {};
        return { id: node.task.path, width: WIDTH, height: HEIGHT, layoutOptions: OPTIONS, ...inside };
      }),
      edges: own.map(({ from, to }) => ({ id: `${from} ${to}`, sources: [from], targets: [to] })),
    };
  };
  const placed = await elk.layout({ id: "", layoutOptions: OPTIONS, ...graph("", tree) });
  const nodes: Placed[] = [];
  const add = (parent: ElkNode) => {
    for (const { id, x = 0, y = 0, width = WIDTH, height = HEIGHT, ...rest } of parent.children ?? []) {
      const node = found.get(id);
      if (node) nodes.push({ node, parent: parent.id, x, y, width, height });
      add({ id, ...rest });
    }
  };
  add(placed);
  return { nodes, edges };
}
