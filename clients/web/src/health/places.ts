/** What the attempts of an executor come to: those that its places carry out, and those that wait for a place. */
export interface Attempts {
  readonly places: number;
  readonly openAttempts: number;
}

/** An executor that does not say how many places it has is taken to carry out all that it was given. */
export function attemptsOf({ places, openAttempts }: Attempts): { readonly busy: number; readonly waiting: number } {
  const busy = places > 0 ? Math.min(places, openAttempts) : openAttempts;
  return { busy, waiting: openAttempts - busy };
}

export const waitingIn = (executors: readonly Attempts[]): number =>
  executors.reduce((sum, one) => sum + attemptsOf(one).waiting, 0);
