/** The server's clock, for what still lasts. */
import { useEffect, useState } from "react";

import { serverNow } from "../live/clock";

const EVERY_MS = 1_000;

/** Goes on once a second while it `ticks`. */
export function useNow(ticks: boolean): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (!ticks) return undefined;
    const timer = setInterval(() => setNow(serverNow()), EVERY_MS);
    return () => clearInterval(timer);
  }, [ticks]);
  return now;
}
