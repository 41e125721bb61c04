/** The clock of a table of runs: each second those cells are made anew that show how long something lasts. */
import { ended } from "@penstock/client/index.js";
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useMemo, type ReactNode } from "react";

import { useNow } from "../run/useNow";
import { durationOf, ShownRuns } from "./columns";

export function ShownNow({ runs, children }: { runs: readonly Run[]; children: ReactNode }) {
  const now = useNow(runs.some(({ state }) => !ended(state)));
  const shown = useMemo(() => {
    const longest = runs.reduce((most, run) => Math.max(most, durationOf(run, now)), 0);
    return { now, longest };
  }, [now, runs]);
  return <ShownRuns value={shown}>{children}</ShownRuns>;
}
