/**
 * Watches one run: keeps its stream of changes open, goes on after the last one when it breaks, shows what is known.
 *
 * Invariants: nothing is asked for twice, since each stream begins after the last sequence that was heard; listeners
 * are told a few times a second at most, however many changes come, and at once when everything has come.
 */
import { Code } from "@connectrpc/connect";
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { RunChange } from "@penstock/client/gen/penstock_api/v1/watch_pb.js";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";

import { Follower, type Link } from "../live/follower";
import { Forest } from "./forest";
import type { Node } from "./tree";

export const TELL_EVERY_MS = 300;
// A tenth of the time goes into showing what is new, but what is new is shown within a second: the first showing, which
// makes the whole page, says little about the next ones.
const REST_BY_WORK = 9;
export const LONGEST_REST_MS = 500;

export type Change = Pick<RunChange, "sequence" | "run" | "tasks" | "more">;
/** Opens the stream of what has changed after a number. */
export type Open = (after: bigint, signal: AbortSignal) => AsyncIterable<Change>;

export interface Watched {
  readonly run: Run | undefined;
  readonly tree: readonly Node[];
  readonly size: number;
  /** False until everything up to the present was heard. */
  readonly whole: boolean;
  readonly link: Link;
  readonly error: unknown;
}

export class RunWatch {
  readonly #follower: Follower<Change>;
  readonly #listeners = new Set<() => void>();
  #forest = new Forest();
  #now: Watched = { run: undefined, tree: [], size: 0, whole: false, link: "opening", error: undefined };
  #told = this.#now;
  #after = 0n;
  #rests = false;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(open: Open) {
    this.#follower = new Follower({
      open: (signal) => open(this.#after, signal),
      hear: (change) => this.#hear(change),
      tell: (link, error) => this.#tell({ link, error }),
      done: () => this.#now.run !== undefined && ended(this.#now.run.state),
      mends: (code) => code === Code.InvalidArgument && this.#forget(),
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = (): Watched => this.#told;

  readonly start = (): void => this.#follower.start();

  readonly stop = (): void => this.#follower.stop();

  /** A run that had ended may go on; what listeners were told may be of before that. */
  readonly again = (): void => {
    if (this.#now.link === "ended") this.start();
  };

  /** Takes tasks that were asked for apart from the stream, which is newer where both have one. */
  offer(tasks: readonly Task[]): void {
    this.#forest.merge(tasks, true);
    this.#tell({});
  }

  #hear({ sequence, run, tasks, more }: Change): void {
    this.#after = sequence;
    this.#forest.merge(tasks);
    const complete = !this.#now.whole && !more;
    // The rest may be seconds long by then.
    if (complete) this.#rests = false;
    this.#tell({ run: run ?? this.#now.run, whole: this.#now.whole || complete, link: "up", error: undefined });
  }

  /** The server knows fewer changes than were heard: it is another one, or was put back. False if none were heard. */
  #forget(): boolean {
    if (this.#after === 0n) return false;
    this.#after = 0n;
    this.#forest = new Forest();
    this.#now = { ...this.#now, whole: false };
    return true;
  }

  #tell(news: Partial<Watched>): void {
    this.#now = { ...this.#now, ...news };
    if (!this.#rests) this.#tellAll();
  }

  #tellAll(): void {
    this.#rests = true;
    const began = performance.now();
    this.#told = this.#now = { ...this.#now, tree: this.#forest.tree(), size: this.#forest.size };
    for (const listener of this.#listeners) listener();
    const told = this.#told;
    // After what the listeners have begun, such as to make the page anew.
    queueMicrotask(() => {
      const wished = REST_BY_WORK * (performance.now() - began);
      const rest = Math.min(LONGEST_REST_MS, Math.max(TELL_EVERY_MS, wished));
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => {
        this.#rests = false;
        if (told !== this.#now) this.#tellAll();
      }, rest);
    });
  }
}
