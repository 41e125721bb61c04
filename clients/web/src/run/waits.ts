/** The tasks of runs that cannot start yet, each with what it waits for, in the server's words. */
import { useQueries } from "@tanstack/react-query";

import { penstock } from "../server";
import type { Seen } from "./seen";

const EVERY_MS = 4_000;
const SHOWN = 5;
// Of each run that is not watched: each is explained anew every few seconds.
const SHOWN_BY_RUN = 2;

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

/** Of runs that are not watched: one answer for each, in their order; asked for again every few seconds. */
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

/** Of a run whose changes are heard: the server is asked why once for each change of one that is shown. */
export function useReasons(runId: string, pending: readonly Seen[]): WaitingTasks {
  const tasks = pending.slice(0, SHOWN);
  const answers = useQueries({
    queries: tasks.map(({ path, version }) => ({
      queryKey: ["waiting", runId, path, version],
      queryFn: ({ signal }: { signal: AbortSignal }) => whyOf(runId, path, signal),
    })),
  });
  const shown = tasks.map(({ path, name }, index) => ({ path, name, why: answers[index]?.data ?? "…" }));
  return { shown, total: pending.length };
}

async function waitingIn(runId: string, signal: AbortSignal): Promise<WaitingTasks> {
  const found = await penstock.insight.listTasks({ runId, states: ["PENDING"], pageSize: SHOWN_BY_RUN }, { signal });
  const shown = found.tasks.map(async ({ path, displayName, name }) => {
    return { path, name: displayName || name, why: await whyOf(runId, path, signal) };
  });
  return { shown: await Promise.all(shown), total: found.totalSize };
}

async function whyOf(runId: string, task: string, signal: AbortSignal): Promise<string> {
  const { summary } = await penstock.insight.explainTask({ runId, task }, { signal });
  return summary;
}
