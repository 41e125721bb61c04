/** Carries out an action on runs, and asks for what it has changed again. */
import type { Run } from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { penstock } from "../server";
import { callForEach, type Failed } from "./batch";
import type { Action } from "./fits";

const AT_ONCE = 4;

const CALLS: Readonly<Record<Action, (runId: string) => Promise<unknown>>> = {
  terminate: (runId) => penstock.runs.terminateRun({ runId }),
  retry: (runId) => penstock.runs.retryRun({ runId }),
  archive: (runId) => penstock.runs.archiveRun({ runId }),
  unarchive: (runId) => penstock.runs.unarchiveRun({ runId }),
  delete: (runId) => penstock.runs.deleteRun({ runId }),
};

export interface Order {
  readonly action: Action;
  readonly runs: readonly Run[];
}

/** The result has the runs whose call failed; the mutation itself does not fail. */
export function useRunActions() {
  const answers = useQueryClient();
  return useMutation({
    mutationFn: ({ action, runs }: Order): Promise<Failed<Run>[]> =>
      callForEach(runs, AT_ONCE, ({ runId }) => CALLS[action](runId)),
    onSettled: (_failures, _error, { action }) => {
      const changed = new Set(["runs", "last run", ...(action === "delete" ? [] : ["run", "tasks"])]);
      // Not awaited: the result is shown at once.
      void answers.invalidateQueries({ predicate: ({ queryKey }) => changed.has(String(queryKey[0])) });
    },
  });
}

/** As they are shown. */
export const named = (failures: readonly Failed<Run>[]) =>
  failures.map(({ of: { runId, displayName }, error }) => ({ id: runId, name: displayName, error }));
