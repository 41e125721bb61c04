/**
 * The server's clock, by which all times of runs are: a reader's may be off by a day.
 *
 * Invariant: a small difference is none, since nobody knows how long an answer was under way.
 */
const SMALL_MS = 5_000;
let ahead = 0;

/** What the server's clock said in an answer, and when that was asked for and heard by the reader's; milliseconds. */
export function heardTime(said: number, asked: number, heard: number): void {
  const difference = said - (asked + heard) / 2;
  ahead = Math.abs(difference) > SMALL_MS + (heard - asked) / 2 ? difference : 0;
}

export const serverNow = (): number => Date.now() + ahead;
