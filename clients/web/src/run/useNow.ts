/** The reader's clock, for what still lasts. */
import { useEffect, useState } from "react";

const EVERY_MS = 1_000;

/** Goes on once a second while it `ticks`. */
export function useNow(ticks: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!ticks) return undefined;
    const timer = setInterval(() => setNow(Date.now()), EVERY_MS);
    return () => clearInterval(timer);
  }, [ticks]);
  return now;
}
