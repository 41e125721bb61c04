/** The watch of the run whose page is open: one stream, left while nobody looks at the page. */
import { useEffect, useMemo, useSyncExternalStore } from "react";

import { useWhileShown } from "../live/useWhileShown";
import { penstock } from "../server";
import { RunWatch, type Open } from "./watch";

const FIRST_TASKS = 1_000;

export function useRunWatch(runId: string) {
  const watch = useMemo(() => new RunWatch(opening(runId)), [runId]);
  useWhileShown(watch);
  useEffect(() => {
    const leaving = new AbortController();
    // A stream gives tasks as they have changed. What is at the top is seen at once this way, however many there are;
    // if it cannot be had, the stream says why.
    penstock.insight
      .listTasks({ runId, parentPath: "", pageSize: FIRST_TASKS }, { signal: leaving.signal })
      .then(({ tasks }) => watch.offer(tasks), () => undefined);
    return () => leaving.abort();
  }, [runId, watch]);
  return { watched: useSyncExternalStore(watch.subscribe, watch.shown), again: watch.again };
}

/** It may stay open for long: no deadline. It ends with the run. Details of tasks are asked for by the panel. */
function opening(runId: string): Open {
  return (after, signal) =>
    penstock.watches.watchRun({ runId, after, untilFinished: true, summary: true }, { signal, timeoutMs: 0 });
}
