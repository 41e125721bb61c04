/** The tasks of the critical path, with all that they are in, while a reader wants them marked. */
import { useMemo } from "react";

import { withAncestors } from "./critical";
import { useTimeline } from "./queries";

const NONE: ReadonlySet<string> = new Set();

export function useCritical(runId: string, goesOn: boolean, wanted: boolean): ReadonlySet<string> {
  const chain = useTimeline(runId, goesOn, wanted).data?.chain;
  return useMemo(() => (wanted && chain ? withAncestors(chain.map(({ path }) => path)) : NONE), [wanted, chain]);
}
