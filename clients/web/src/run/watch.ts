/**
 * Watches one run: keeps its stream of changes open, goes on after the last one when it breaks, shows what is known.
 *
 * Invariants: one stream at a time; nothing is asked for twice, since each stream begins after the last sequence that
 * was heard; listeners are told a few times a second at most, however many changes come, and at once when everything has
 * come; a stream that has said nothing for long is opened anew, because a connection that is gone may never say so; what
 * will not be otherwise, such as NOT_FOUND, is final until `start` is called again.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import type { RunChange } from "@penstock/client/gen/penstock_api/v1/watch_pb.js";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { ended } from "@penstock/client/index.js";

import { Forest } from "./forest";
import { pause, Silence } from "./pauses";
import type { Node } from "./tree";

export const TELL_EVERY_MS = 300;
// A tenth of the time at most goes into showing what is new.
const REST_BY_WORK = 9;
export const FIRST_PAUSE_MS = 250;
export const LONGEST_PAUSE_MS = 8_000;
export const ANSWER_MS = 20_000;
export const SILENCE_MS = 60_000;

export type Change = Pick<RunChange, "sequence" | "run" | "tasks" | "more">;
/** Opens the stream of what has changed after a number. */
export type Open = (after: bigint, signal: AbortSignal) => AsyncIterable<Change>;
export type Link = "opening" | "up" | "lost" | "ended" | "failed";

export interface Watched {
  readonly run: Run | undefined;
  readonly tree: readonly Node[];
  readonly size: number;
  /** False until everything up to the present was heard. */
  readonly whole: boolean;
  readonly link: Link;
  readonly error: unknown;
}

const FINAL = new Set([
  Code.NotFound, Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated, Code.Unimplemented,
]);

export class RunWatch {
  readonly #open: Open;
  readonly #listeners = new Set<() => void>();
  #forest = new Forest();
  #now: Watched = { run: undefined, tree: [], size: 0, whole: false, link: "opening", error: undefined };
  #told = this.#now;
  #after = 0n;
  #watching: AbortController | undefined;
  #hurry: AbortController | undefined;
  #rests = false;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(open: Open) {
    this.#open = open;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = (): Watched => this.#told;

  /** Begins, or goes on; a pause before the next attempt is cut short. */
  readonly start = (): void => {
    this.#hurry?.abort();
    if (this.#watching) return;
    const watching = (this.#watching = new AbortController());
    void this.#follow(watching.signal).finally(() => {
      if (this.#watching === watching) this.#watching = undefined;
    });
  };

  readonly stop = (): void => {
    this.#watching?.abort();
    this.#watching = undefined;
  };

  /** Takes tasks that were asked for apart from the stream, which is newer where both have one. */
  offer(tasks: readonly Task[]): void {
    this.#forest.merge(tasks, true);
    this.#tell({});
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      const silence = new Silence(signal, ANSWER_MS);
      try {
        for await (const change of this.#open(this.#after, silence.signal)) {
          if (signal.aborted) return;
          failures = 0;
          silence.broken(SILENCE_MS);
          this.#hear(change);
        }
        if (this.#now.run && ended(this.#now.run.state)) return this.#tell({ link: "ended" });
      } catch (error) {
        if (signal.aborted) return;
        if (silence.tooLong && silence.heard) continue;
        const { code } = ConnectError.from(error);
        if (code === Code.InvalidArgument && this.#after > 0n) this.#forget();
        else if (FINAL.has(code)) return this.#tell({ link: "failed", error });
        else this.#tell({ link: "lost" });
      } finally {
        silence.end();
      }
      this.#hurry = new AbortController();
      const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++);
      await pause(longest * (0.5 + Math.random() / 2), AbortSignal.any([signal, this.#hurry.signal]));
    }
  }

  #hear({ sequence, run, tasks, more }: Change): void {
    this.#after = sequence;
    this.#forest.merge(tasks);
    const complete = !this.#now.whole && !more;
    // The rest may be seconds long by then.
    if (complete) this.#rests = false;
    this.#tell({ run: run ?? this.#now.run, whole: this.#now.whole || complete, link: "up", error: undefined });
  }

  /** The server knows fewer changes than were heard: it is another one, or was put back. */
  #forget(): void {
    this.#after = 0n;
    this.#forest = new Forest();
    this.#now = { ...this.#now, whole: false };
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
      const rest = Math.max(TELL_EVERY_MS, REST_BY_WORK * (performance.now() - began));
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => {
        this.#rests = false;
        if (told !== this.#now) this.#tellAll();
      }, rest);
    });
  }
}
