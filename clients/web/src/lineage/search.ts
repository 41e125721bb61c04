/** What the addresses of artifacts and of their lineage say behind their question mark. */
import { number, oneOf, place, text } from "../search";

export const DIRECTIONS = ["both", "backwards", "forwards"] as const;
export type Direction = (typeof DIRECTIONS)[number];
export const DEPTHS = [1, 2, 3, 5, 10, 20] as const;
export const USUAL_DEPTH = 3;

export interface ArtifactsSearch {
  readonly type?: string;
  /** Id of the run whose artifacts are shown. */
  readonly run?: string;
  /** Token of the page that is shown. */
  readonly page?: string;
  readonly namespace?: string;
  /** Name of the artifact that is looked at, and the byte of it at which the page that is shown begins. */
  readonly artifact?: string;
  readonly from?: number;
}

/** Around an artifact, or around a task of a run. */
export interface LineageSearch {
  readonly artifact?: string;
  readonly run?: string;
  readonly task?: string;
  readonly direction?: Direction;
  readonly depth?: number;
  /** Id of the card that is looked at. */
  readonly chosen?: string;
  readonly from?: number;
  readonly namespace?: string;
}

export function artifactsSearch(found: Record<string, unknown>): ArtifactsSearch {
  return {
    ...text("type", found.type),
    ...text("run", found.run),
    ...text("page", found.page),
    ...text("namespace", found.namespace),
    ...text("artifact", found.artifact),
    ...number("from", place(found.from)),
  };
}

export function lineageSearch(found: Record<string, unknown>): LineageSearch {
  const depth = DEPTHS.find((one) => String(one) === String(found.depth));
  return {
    ...text("artifact", found.artifact),
    ...text("run", found.run),
    ...text("task", found.task),
    ...oneOf("direction", DIRECTIONS, found.direction),
    ...number("depth", depth === USUAL_DEPTH ? undefined : depth),
    ...text("chosen", found.chosen),
    ...number("from", place(found.from)),
    ...text("namespace", found.namespace),
  };
}
