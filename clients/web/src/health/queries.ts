/** How the installation does. The frame and the pages share one answer, which the most eager of them has renewed. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useNamespace } from "../components/namespace";
import { penstock } from "../server";

export function useOverview(everyMs: number) {
  const { namespace = "" } = useNamespace();
  return useQuery({
    queryKey: ["overview", namespace],
    queryFn: ({ signal }) => penstock.insight.getOverview({ namespace }, { signal }),
    refetchInterval: everyMs,
    placeholderData: keepPreviousData,
  });
}
