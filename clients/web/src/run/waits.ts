/** The tasks of runs that cannot start yet, each with what it waits for, in the server's words. */
import type { Task } from "@penstock/client/gen/penstock_api/v1/insight_pb.js";
import { useQueries } from "@tanstack/react-query";

import { penstock } from "../server";

const EVERY_MS = 4_000;
const SHOWN = 5;

export interface WaitingTask {
  readonly path: string;
  readonly name: string;
  readonly why: string;
}

export interface WaitingTasks {
  readonly shown: readonly WaitingTask[];
  /** Those that are not shown as well. */
  readonly total: number;
}

const NONE: WaitingTasks = { shown: [], total: 0 };

/** One answer for each run, in their order; asked for again every few seconds. */
export function useWaitingTasks(runIds: readonly string[]): readonly WaitingTasks[] {
  const answers = useQueries({
    queries: runIds.map((runId) => ({
      queryKey: ["waiting", runId],
      queryFn: ({ signal }: { signal: AbortSignal }) => waitingIn(runId, signal),
      refetchInterval: EVERY_MS,
    })),
  });
  return answers.map(({ data }) => data ?? NONE);
}

async function waitingIn(runId: string, signal: AbortSignal): Promise<WaitingTasks> {
  const found = await penstock.insight.listTasks({ runId, states: ["PENDING"], pageSize: SHOWN }, { signal });
  const shown = found.tasks.map(async (task: Task) => {
    const { summary } = await penstock.insight.explainTask({ runId, task: task.path }, { signal });
    return { path: task.path, name: task.displayName || task.name, why: summary };
  });
  return { shown: await Promise.all(shown), total: found.totalSize };
}
