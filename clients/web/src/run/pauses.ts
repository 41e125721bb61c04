/** Waiting that can be cut short, and a limit to how long a stream may say nothing. */

/** Also ends when the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Aborts its signal when nothing was heard for so long, if there is a limit; and when `outer` is aborted. */
export class Silence {
  readonly #own = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly signal: AbortSignal;
  heard = false;

  constructor(outer: AbortSignal, milliseconds: number | undefined) {
    this.signal = AbortSignal.any([outer, this.#own.signal]);
    this.#timer = this.#limit(milliseconds);
  }

  get tooLong(): boolean {
    return this.#own.signal.aborted;
  }

  broken(milliseconds: number | undefined): void {
    this.heard = true;
    clearTimeout(this.#timer);
    this.#timer = this.#limit(milliseconds);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #limit(milliseconds: number | undefined): ReturnType<typeof setTimeout> | undefined {
    return milliseconds === undefined ? undefined : setTimeout(() => this.#own.abort(), milliseconds);
  }
}
