/** Streams are open while somebody looks at the page: a browser opens few connections to a server, six over HTTP/1.1,
 * and each stream of each of its pages has one. */
import { useEffect } from "react";

const LEFT_AFTER_HIDDEN_MS = 10_000;

interface Stream {
  readonly start: () => void;
  readonly stop: () => void;
}

/** Stopped when the page is left and some time after it was hidden, started when it is shown again; a page that begins hidden has none. */
export function useWhileShown({ start, stop }: Stream): void {
  useEffect(() => {
    let hidden: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = setTimeout(stop, LEFT_AFTER_HIDDEN_MS);
      else start();
    };
    look();
    document.addEventListener("visibilitychange", look);
    window.addEventListener("online", look);
    // A page that the browser keeps for the way back stands still with its streams open, and its timers with it.
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      window.removeEventListener("online", look);
      window.removeEventListener("pagehide", stop);
      window.removeEventListener("pageshow", look);
      clearTimeout(hidden);
      stop();
    };
  }, [start, stop]);
}
