/** Places the cards of a graph with ELK, which works in a worker of its own so that the page never stands still. */
import ELK, { type ElkNode } from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";

const WIDTH = 220;
const HEIGHT = 64;
// What ELK places within seconds.
export const MOST_CARDS = 1_000;

export interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Cards with the edges between them; `inside` is what a card is around. */
export interface Group {
  readonly cards: readonly { readonly id: string; readonly inside?: Group | undefined }[];
  readonly edges: readonly Edge[];
}

export interface Placed {
  readonly id: string;
  readonly parent: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  /** Those that are around others before them; places are relative to what is around. */
  readonly cards: readonly Placed[];
  readonly edges: readonly Edge[];
}

let elk: InstanceType<typeof ELK> | undefined;

export async function layoutOf(group: Group, direction: "DOWN" | "RIGHT" = "DOWN"): Promise<Layout> {
  elk ??= new ELK({ workerUrl });
  const options = {
    "elk.algorithm": "layered",
    "elk.direction": direction,
    "elk.hierarchyHandling": "INCLUDE_CHILDREN",
    "elk.padding": "[top=76,left=16,bottom=16,right=16]",
  };
  const edges: Edge[] = [];
  const graph = (of: Group): Pick<ElkNode, "children" | "edges"> => {
    edges.push(...of.edges);
    return {
      children: of.cards.map(({ id, inside }): ElkNode => {
        const within = inside ? graph(inside) : {};
        return { id, width: WIDTH, height: HEIGHT, layoutOptions: options, ...within };
      }),
      edges: of.edges.map(({ from, to }) => ({ id: idOf({ from, to }), sources: [from], targets: [to] })),
    };
  };
  const placed = await elk.layout({ id: "", layoutOptions: options, ...graph(group) });
  const cards: Placed[] = [];
  const add = (parent: ElkNode) => {
    for (const { id, x = 0, y = 0, width = WIDTH, height = HEIGHT, ...rest } of parent.children ?? []) {
      cards.push({ id, parent: parent.id, x, y, width, height });
      add({ id, ...rest });
    }
  };
  add(placed);
  return { cards, edges };
}

export const idOf = ({ from, to }: Edge): string => `${from} ${to}`;
