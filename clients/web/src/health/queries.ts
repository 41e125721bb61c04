/** How the installation does. The frame and the pages share one answer, which the most eager of them has renewed. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useNamespace } from "../components/namespace";
import { penstock, POLL_MS } from "../server";

export function useOverview(everyMs: number) {
  const { namespace = "" } = useNamespace();
  return useQuery({
    queryKey: ["overview", namespace],
    queryFn: ({ signal }) => penstock.insight.getOverview({ namespace }, { signal }),
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
