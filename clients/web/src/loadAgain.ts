/**
 * When a file of the UI cannot be had: the network was away for a moment, or a newer server has files of other names.
 *
 * Invariant: the page is loaded again for it, but not again and again. What is missing once more within a minute is
 * told to the reader.
 */
const KEY = "penstock-loaded-again";
const NOT_AGAIN_MS = 60_000;

/** Whether to load the page again at this moment, which is kept; in milliseconds. */
export function mayLoadAgain(now: number, kept: Pick<Storage, "getItem" | "setItem">): boolean {
  const since = now - Number(kept.getItem(KEY) ?? 0);
  // A clock may have been put back.
  if (since >= 0 && since < NOT_AGAIN_MS) return false;
  kept.setItem(KEY, String(now));
  return true;
}
