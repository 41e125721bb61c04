/** What may be done to a run in its state. It says what is offered; the server decides. */
import {
  Run_StorageState as StorageState,
  RuntimeState,
  type Run,
} from "@penstock/client/gen/penstock_api/v2beta1/run_pb.js";

export const ACTIONS = ["terminate", "retry", "archive", "unarchive", "delete"] as const;
export type Action = (typeof ACTIONS)[number];

const TERMINABLE = [RuntimeState.PENDING, RuntimeState.RUNNING, RuntimeState.PAUSED];
const RETRIABLE = [RuntimeState.FAILED, RuntimeState.CANCELED];

export const isArchived = ({ storageState }: Run): boolean => storageState === StorageState.ARCHIVED;

const FITS: Readonly<Record<Action, (run: Run) => boolean>> = {
  terminate: ({ state }) => TERMINABLE.includes(state),
  retry: ({ state }) => RETRIABLE.includes(state),
  archive: (run) => !isArchived(run),
  unarchive: isArchived,
  delete: () => true,
};

export const fitting = (action: Action, runs: readonly Run[]): Run[] => runs.filter(FITS[action]);
