/** One call for each of several things, a few at a time, so that a long selection does not hold up all other calls. */
export interface Failed<T> {
  readonly of: T;
  readonly error: unknown;
}

/** Gives what failed, in the order of the things. A failure ends no other call. */
export async function callForEach<T>(
  things: readonly T[],
  atOnce: number,
  call: (thing: T) => Promise<unknown>,
): Promise<Failed<T>[]> {
  const failures: (Failed<T> | undefined)[] = things.map(() => undefined);
  // All take from the same one.
  const waiting = things.entries();
  const work = async () => {
    for (const [index, of] of waiting) {
      try {
        await call(of);
      } catch (error) {
        failures[index] = { of, error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, things.length) }, work));
  return failures.filter((one) => one !== undefined);
}
