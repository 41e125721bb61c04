/** Carries out an action on an experiment, and asks for what it has changed again: its runs, too. */
import type { Experiment } from "@penstock/client/gen/penstock_api/v2beta1/experiment_pb.js";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import type { Action } from "../actions/fits";
import { penstock } from "../server";

export type ExperimentAction = Extract<Action, "archive" | "unarchive" | "delete">;

const CALLS: Readonly<Record<ExperimentAction, (experimentId: string) => Promise<unknown>>> = {
  archive: (experimentId) => penstock.experiments.archiveExperiment({ experimentId }),
  unarchive: (experimentId) => penstock.experiments.unarchiveExperiment({ experimentId }),
  delete: (experimentId) => penstock.experiments.deleteExperiment({ experimentId }),
};

export interface Order {
  readonly action: ExperimentAction;
  readonly experiment: Experiment;
}

export function useExperimentActions() {
  const answers = useQueryClient();
  return useMutation({
    mutationFn: ({ action, experiment }: Order) => CALLS[action](experiment.experimentId),
    onSettled: (_reply, _error, { action }) => {
      const changed = new Set(["experiments", "runs", "last run", ...(action === "delete" ? [] : ["experiment"])]);
      // Not awaited: the result is shown at once.
      void answers.invalidateQueries({ predicate: ({ queryKey }) => changed.has(String(queryKey[0])) });
    },
  });
}
