/**
 * Watches a page of the list of runs: keeps its stream open and shows the page as it is now.
 *
 * Invariants: a stream begins with the whole page, so that nothing is missing after one that broke; what is known stays
 * in sight meanwhile, also that of the page before when another one is asked for; a run that has not changed stays the
 * same object.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RunsChange, WatchRunsRequestSchema } from "@penstock/client/gen/penstock_api/v1/watch_pb.js";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

import { Follower, type Link } from "../live/follower";

export type ListRequest = MessageInitShape<typeof WatchRunsRequestSchema>;
export type ListChange = Pick<RunsChange, "runIds" | "runs" | "nextPageToken">;
export type OpenList = (request: ListRequest, signal: AbortSignal) => AsyncIterable<ListChange>;

export interface ListedRuns {
  /** In the order of the page; undefined until something was heard. */
  readonly runs: readonly Run[] | undefined;
  readonly nextPageToken: string;
  readonly link: Link;
  readonly error: unknown;
}

export class ListWatch {
  readonly #follower: Follower<ListChange>;
  readonly #listeners = new Set<() => void>();
  #request: ListRequest = {};
  #now: ListedRuns = { runs: undefined, nextPageToken: "", link: "opening", error: undefined };

  constructor(open: OpenList) {
    this.#follower = new Follower({
      open: (signal) => open(this.#request, signal),
      hear: (change) => this.#hear(change),
      tell: (link, error) => this.#tell({ link, error }),
      done: () => false,
      mends: () => false,
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = (): ListedRuns => this.#now;

  /** Begins, or goes on; another request only after `stop`. */
  readonly start = (request: ListRequest): void => {
    this.#request = request;
    this.#follower.start();
  };

  readonly stop = (): void => this.#follower.stop();

  #hear({ runIds, runs, nextPageToken }: ListChange): void {
    const known = new Map([...(this.#now.runs ?? []), ...runs].map((run) => [run.runId, run]));
    const page = runIds.flatMap((runId) => known.get(runId) ?? []);
    this.#tell({ runs: page, nextPageToken, link: "up", error: undefined });
  }

  #tell(news: Partial<ListedRuns>): void {
    this.#now = { ...this.#now, ...news };
    for (const listener of this.#listeners) listener();
  }
}
