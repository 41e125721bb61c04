/**
 * Follows the log of one task: keeps its stream open until the log has ended, and its end in memory.
 *
 * Invariants: a stream begins with the end of the log, which takes the place of what is known once it has come, so that
 * nothing is missing or there twice after a stream that broke; a log that has ended is asked for anew by `again` alone.
 */
import { Follower, type Link } from "../live/follower";
import { tail } from "./log";

/** Opens the stream of the log's end and of what is written from then on. */
export type OpenLog = (signal: AbortSignal) => AsyncIterable<{ readonly data: Uint8Array }>;

export interface FollowedLog {
  readonly said: string;
  readonly link: Link;
  readonly error: unknown;
}

export class LogWatch {
  readonly #follower: Follower<{ readonly data: Uint8Array }>;
  readonly #listeners = new Set<() => void>();
  #now: FollowedLog = { said: "", link: "opening", error: undefined };
  #begins = true;
  #decoder = new TextDecoder();

  constructor(open: OpenLog) {
    this.#follower = new Follower({
      open: (signal) => {
        this.#begins = true;
        return open(signal);
      },
      hear: ({ data }) => this.#hear(data),
      tell: (link, error) => this.#tell({ link, error }),
      done: () => true,
      mends: () => false,
      isQuiet: true,
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = (): FollowedLog => this.#now;

  readonly start = (): void => {
    if (this.#now.link !== "ended") this.#follower.start();
  };

  readonly stop = (): void => this.#follower.stop();

  /** The task may have been tried again. */
  readonly again = (): void => {
    if (this.#now.link !== "ended") return;
    this.#tell({ link: "opening" });
    this.#follower.start();
  };

  #hear(data: Uint8Array): void {
    if (this.#begins) this.#decoder = new TextDecoder();
    const known = this.#begins ? "" : this.#now.said;
    this.#begins = false;
    this.#tell({ said: tail(known + this.#decoder.decode(data, { stream: true })), link: "up", error: undefined });
  }

  #tell(news: Partial<FollowedLog>): void {
    this.#now = { ...this.#now, ...news };
    for (const listener of this.#listeners) listener();
  }
}
