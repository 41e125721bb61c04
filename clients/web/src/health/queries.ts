/** How the installation does, and its time. The frame and the pages share one answer, which the most eager of them has
 * renewed. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useNamespace } from "../components/namespace";
import { heardTime } from "../live/clock";
import { penstock, POLL_MS } from "../server";

/** As often as a page that is not about it asks. */
export const SELDOM_MS = 15_000;

export function useOverview(everyMs: number) {
  const { namespace = "" } = useNamespace();
  return useQuery({
    queryKey: ["overview", namespace],
    queryFn: async ({ signal }) => {
      const asked = Date.now();
      const overview = await penstock.insight.getOverview({ namespace }, { signal });
      if (overview.at) heardTime(timestampMs(overview.at), asked, Date.now());
      return overview;
    },
    refetchInterval: everyMs,
    placeholderData: keepPreviousData,
  });
}

export function usePools() {
  const { namespace = "" } = useNamespace();
  return useQuery({
    queryKey: ["pools", namespace],
    queryFn: ({ signal }) => penstock.pools.listPools({ namespace }, { signal }),
    // A refusal has its line in the audit log, so it is not asked for again by itself.
    refetchInterval: ({ state }) => (state.error ? false : POLL_MS),
    placeholderData: keepPreviousData,
  });
}
