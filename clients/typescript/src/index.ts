/**
 * A client of Penstock and of other Kubeflow Pipelines servers.
 *
 * Every call has a deadline. Calls that only read are tried again a few times, with growing and jittered pauses, while the
 * server is unavailable; calls that write never are. How calls travel is the transport's matter: `./node.js` has gRPC,
 * `./web.js` gRPC-Web for browsers.
 */
import { Code, ConnectError, createClient, type Client, type Interceptor, type Transport } from "@connectrpc/connect";

import { MetadataStoreService } from "./gen/ml_metadata/proto/metadata_store_service_pb.js";
import { AccessService } from "./gen/penstock_api/v1/access_pb.js";
import { InsightService } from "./gen/penstock_api/v1/insight_pb.js";
import { WatchService } from "./gen/penstock_api/v1/watch_pb.js";
import { PoolService } from "./gen/penstock_api/v1/pool_pb.js";
import { PipelineUploadService } from "./gen/penstock_api/v1/upload_pb.js";
import { ExperimentService } from "./gen/penstock_api/v2beta1/experiment_pb.js";
import { PipelineService } from "./gen/penstock_api/v2beta1/pipeline_pb.js";
import { RecurringRunService } from "./gen/penstock_api/v2beta1/recurring_run_pb.js";
import { GetRunRequest_ViewMode, RunService, RuntimeState, type Run } from "./gen/penstock_api/v2beta1/run_pb.js";

export const DEFAULT_DEADLINE_MS = 30_000;
export const USER_AGENT = "penstock-typescript/0.1.0";
const MAX_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 100;
const LAST_POLL_MS = 5_000;

/** Clients of one server. `transport` is for services that are not here, such as those of v1beta1. */
export interface Penstock {
  readonly transport: Transport;
  readonly experiments: Client<typeof ExperimentService>;
  readonly pipelines: Client<typeof PipelineService>;
  readonly runs: Client<typeof RunService>;
  readonly recurringRuns: Client<typeof RecurringRunService>;
  readonly insight: Client<typeof InsightService>;
  readonly watches: Client<typeof WatchService>;
  readonly uploads: Client<typeof PipelineUploadService>;
  readonly access: Client<typeof AccessService>;
  readonly pools: Client<typeof PoolService>;
  readonly metadata: Client<typeof MetadataStoreService>;
}

export function penstockOver(transport: Transport): Penstock {
  return {
    transport,
    experiments: createClient(ExperimentService, transport),
    pipelines: createClient(PipelineService, transport),
    runs: createClient(RunService, transport),
    recurringRuns: createClient(RecurringRunService, transport),
    insight: createClient(InsightService, transport),
    watches: createClient(WatchService, transport),
    uploads: createClient(PipelineUploadService, transport),
    access: createClient(AccessService, transport),
    pools: createClient(PoolService, transport),
    metadata: createClient(MetadataStoreService, transport),
  };
}

/** Tries unary calls that only read again while the server is unavailable. */
export const retryReads: Interceptor = (next) => async (request) => {
  const reads = /^(Get|List)/.test(request.method.name);
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      const unavailable = ConnectError.from(error).code === Code.Unavailable;
      if (request.stream || !reads || !unavailable || attempt === MAX_ATTEMPTS) throw error;
      await pause(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random()), request.signal);
    }
  }
};

/** Whether a run in this state stays in it, unless it is retried. */
export function ended(state: RuntimeState): boolean {
  return [RuntimeState.SUCCEEDED, RuntimeState.FAILED, RuntimeState.SKIPPED, RuntimeState.CANCELED].includes(state);
}

/**
 * Asks for a run at growing intervals and gives what it finds, without its tasks and its document; the last time when
 * the run has ended.
 */
export async function* followRun(penstock: Penstock, runId: string, signal?: AbortSignal): AsyncGenerator<Run> {
  const options = signal ? { signal } : {};
  const request = { runId, view: GetRunRequest_ViewMode.BASIC };
  for (let interval = FIRST_PAUSE_MS; ; interval = Math.min(interval * 2, LAST_POLL_MS)) {
    const run = await penstock.runs.getRun(request, options);
    yield run;
    if (ended(run.state)) return;
    await pause(interval, signal);
  }
}

/** The run when it has ended, without its tasks and its document. */
export async function waitForRun(penstock: Penstock, runId: string, signal?: AbortSignal): Promise<Run> {
  let last: Run | undefined;
  for await (const run of followRun(penstock, runId, signal)) last = run;
  return last as Run;
}

/**
 * Every item of a list, page after page.
 *
 * Example: `for await (const run of pages((pageToken) => penstock.runs.listRuns({ pageToken }), (page) => page.runs))`
 */
export async function* pages<P extends { nextPageToken: string }, T>(
  fetch: (pageToken: string) => Promise<P>,
  items: (page: P) => T[],
): AsyncGenerator<T> {
  for (let token = ""; ; ) {
    const page = await fetch(token);
    yield* items(page);
    if (page.nextPageToken === "") return;
    token = page.nextPageToken;
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
