/**
 * Asks for the attempts of many tasks with few calls: what the rows in sight ask for at about the same time.
 *
 * Invariants: a call names `MOST` paths at most; who has stopped to wait, as the row of a task that was scrolled away,
 * is not asked for; rows that come and go without a pause ask for nothing until there is one.
 */
export const MOST = 200;
export const PAUSE_MS = 60;

/** Gives what it found, by path. */
export type Load<T> = (runId: string, paths: readonly string[]) => Promise<ReadonlyMap<string, T>>;

interface Asked<T> {
  readonly runId: string;
  readonly path: string;
  readonly signal: AbortSignal;
  readonly resolve: (found: T) => void;
  readonly reject: (error: unknown) => void;
}

export class Batch<T> {
  readonly #load: Load<T>;
  readonly #none: T;
  #asked: Asked<T>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `none` is the answer for a path of which nothing was found. */
  constructor(load: Load<T>, none: T) {
    this.#load = load;
    this.#none = none;
  }

  ask(runId: string, path: string, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ runId, path, signal, resolve, reject });
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#send(), PAUSE_MS);
    });
  }

  #send(): void {
    const asked = this.#asked;
    this.#asked = [];
    const runs = Map.groupBy(asked, ({ runId }) => runId);
    for (const [runId, all] of runs) {
      const wanted = all.filter(({ signal }) => !signal.aborted);
      for (const { signal, reject } of all) if (signal.aborted) reject(signal.reason);
      for (let first = 0; first < wanted.length; first += MOST) void this.#call(runId, wanted.slice(first, first + MOST));
    }
  }

  async #call(runId: string, asked: readonly Asked<T>[]): Promise<void> {
    try {
      const found = await this.#load(runId, [...new Set(asked.map(({ path }) => path))]);
      for (const { path, resolve } of asked) resolve(found.get(path) ?? this.#none);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
