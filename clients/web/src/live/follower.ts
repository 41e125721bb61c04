/**
 * Keeps a stream of the server open: opens it again when it ends or breaks, later and later while the server is away.
 *
 * Invariants: one stream at a time; a stream that has said nothing for long is opened anew unless it may be quiet,
 * because a connection that is gone may never say so; those who lose a server together do not come back together; what will not be otherwise,
 * such as NOT_FOUND, is final until `start` is called again.
 */
import { Code, ConnectError } from "@connectrpc/connect";

import { pause, Silence } from "../run/pauses";

export const FIRST_PAUSE_MS = 250;
export const LONGEST_PAUSE_MS = 8_000;
export const ANSWER_MS = 20_000;
export const SILENCE_MS = 60_000;

export type Link = "opening" | "up" | "lost" | "ended" | "failed";

/** What is followed. */
export interface Followed<M> {
  readonly open: (signal: AbortSignal) => AsyncIterable<M>;
  readonly hear: (message: M) => void;
  /** Says that the stream is lost, has failed with an error, or has ended for good. */
  readonly tell: (link: Link, error?: unknown) => void;
  /** Whether a stream that ended well was the last one. */
  readonly done: () => boolean;
  /** Whether it makes sense to begin again at once after a refusal. */
  readonly mends: (code: Code) => boolean;
  /** It may say nothing for as long as it likes. */
  readonly isQuiet?: boolean;
}

const FINAL = new Set([
  Code.NotFound, Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated, Code.Unimplemented,
]);

export class Follower<M> {
  readonly #followed: Followed<M>;
  #following: AbortController | undefined;
  #hurry: AbortController | undefined;

  constructor(followed: Followed<M>) {
    this.#followed = followed;
  }

  /** Begins, or goes on; a pause before the next attempt is cut short. */
  readonly start = (): void => {
    this.#hurry?.abort();
    if (this.#following) return;
    const following = (this.#following = new AbortController());
    void this.#follow(following.signal).finally(() => {
      if (this.#following === following) this.#following = undefined;
    });
  };

  readonly stop = (): void => {
    this.#following?.abort();
    this.#following = undefined;
  };

  async #follow(signal: AbortSignal): Promise<void> {
    const { open, hear, tell, done, mends, isQuiet = false } = this.#followed;
    for (let failures = 0; !signal.aborted; ) {
      const silence = new Silence(signal, isQuiet ? undefined : ANSWER_MS);
      try {
        for await (const message of open(silence.signal)) {
          if (signal.aborted) return;
          failures = 0;
          silence.broken(isQuiet ? undefined : SILENCE_MS);
          hear(message);
        }
        if (signal.aborted) return;
        if (done()) return tell("ended");
      } catch (error) {
        if (signal.aborted) return;
        if (silence.tooLong && silence.heard) continue;
        const { code } = ConnectError.from(error);
        if (!mends(code)) {
          if (FINAL.has(code)) return tell("failed", error);
          tell("lost", error);
        }
      } finally {
        silence.end();
      }
      this.#hurry = new AbortController();
      const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++);
      await pause(longest * (0.5 + Math.random() / 2), AbortSignal.any([signal, this.#hurry.signal]));
    }
  }
}
