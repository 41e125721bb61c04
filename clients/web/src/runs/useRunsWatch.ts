/** A page of the list of runs as it is now, over one stream. */
import { useMemo, useState, useSyncExternalStore } from "react";

import { useWhileShown } from "../live/useWhileShown";
import { penstock } from "../server";
import { ListWatch, type ListedRuns, type ListRequest, type OpenList } from "./listWatch";

/** It may stay open for long: no deadline. */
const open: OpenList = (request, signal) => penstock.watches.watchRuns(request, { signal, timeoutMs: 0 });

export function useRunsWatch(request: ListRequest): ListedRuns {
  const [watch] = useState(() => new ListWatch(open));
  const asked = JSON.stringify(request);
  const stream = useMemo(
    () => ({ start: () => watch.start(JSON.parse(asked) as ListRequest), stop: watch.stop }),
    [watch, asked],
  );
  useWhileShown(stream);
  return useSyncExternalStore(watch.subscribe, watch.shown);
}
