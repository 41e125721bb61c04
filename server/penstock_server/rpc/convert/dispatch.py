"""Messages of DispatchService."""

from __future__ import annotations

from penstock_api.internal.v1 import dispatch_pb2 as pb

from penstock_server.domain.dispatch import ClaimedRun, HoldState, Outcome, RunHold, RunReport, RunTransitions
from penstock_server.domain.task import CacheHit, CacheKey
from penstock_server.rpc.convert import rows

_OUTCOMES = {
    Outcome.COMMITTED: pb.RunReport.OUTCOME_COMMITTED,
    Outcome.FENCED: pb.RunReport.OUTCOME_FENCED,
    Outcome.DELETED: pb.RunReport.OUTCOME_DELETED,
}
_HOLDS = {
    HoldState.UNKNOWN: pb.RunHold.STATE_UNKNOWN,
    HoldState.FINISHED: pb.RunHold.STATE_FINISHED,
    HoldState.WAITING: pb.RunHold.STATE_WAITING,
    HoldState.HELD: pb.RunHold.STATE_HELD,
}
_MAX_WAIT = 1024


def claimed_to_proto(claimed: ClaimedRun) -> pb.ClaimedRun:
    run = claimed.run
    return pb.ClaimedRun(
        run_id=run.run_id,
        fence=claimed.fence,
        display_name=run.display_name,
        namespace=run.namespace,
        pipeline_spec_json=claimed.pipeline_spec.encode(),
        platform_spec_json=claimed.platform_spec.encode(),
        parameters_json=run.arguments.encode(),
        pipeline_root=run.pipeline_root,
        service_account=run.service_account,
        created_at_millis=run.created_at,
        scheduled_at_millis=run.scheduled_at,
        terminate_requested=run.terminate_requested,
        events=claimed.events,
        resource_name=run.resource_name,
        policy=pb.RunPolicy(
            caching=run.options.caching,
            max_cache_age_millis=run.options.max_cache_age * 1000,
            fail_fast=run.options.fail_fast,
            deadline_millis=run.options.deadline * 1000,
            documented_final_status=run.options.documented_final_status,
            flat_collected=run.options.flat_collected,
            infrastructure_retries=run.options.infrastructure_retries,
            priority=run.options.priority,
            pool=run.options.pool,
            workers=run.options.workers,
        ),
    )


def transitions_from_proto(message: pb.RunTransitions) -> RunTransitions:
    run_id = message.run_id
    update = message.run
    return RunTransitions(
        run_id=run_id,
        fence=message.fence,
        first_sequence=message.first_sequence,
        events=tuple(message.events),
        tasks=tuple(rows.task_from_proto(run_id, row) for row in message.tasks),
        artifacts=tuple(rows.artifact_from_proto(run_id, row) for row in message.artifacts),
        cache_entries=tuple(rows.cache_entry_from_proto(run_id, row) for row in message.cache_entries),
        state=update.state,
        error=update.error,
        at=update.at_millis,
        finished=update.finished,
        execution_ids=dict(message.execution_ids),
        artifact_ids=dict(message.artifact_ids),
        pipeline_context_id=update.pipeline_context_id,
        pipeline_run_context_id=update.pipeline_run_context_id,
        waits={wait.path: wait.text[:_MAX_WAIT] for wait in message.waits},
        attempts=tuple(rows.attempt_from_proto(run_id, row) for row in message.attempts),
    )


def report_to_proto(report: RunReport) -> pb.RunReport:
    return pb.RunReport(
        run_id=report.run_id, outcome=_OUTCOMES[report.outcome], terminate_requested=report.terminate_requested
    )


def key_from_proto(key: pb.LookupCacheRequest.Key) -> CacheKey:
    return CacheKey(key.fingerprint, key.pipeline_name, key.namespace)


def hit_to_proto(hit: CacheHit | None, not_before: int) -> pb.LookupCacheResponse.Answer:
    """`not_before` (milliseconds since 1970): an entry that was made earlier does not count."""
    if hit is None:
        return pb.LookupCacheResponse.Answer(found=False)
    if hit.entry.created_at < not_before:
        age = "older than the run allows"
        return pb.LookupCacheResponse.Answer(found=False, reason=f"the result of run {hit.entry.run_id} is {age}")
    return pb.LookupCacheResponse.Answer(
        found=True,
        outputs_json=hit.entry.outputs.encode(),
        run_id=hit.entry.run_id,
        task_path=hit.entry.task_path,
        execution_id=hit.execution_id,
    )


def hold_to_proto(hold: RunHold) -> pb.RunHold:
    return pb.RunHold(run_id=hold.run_id, state=_HOLDS[hold.state], executor_id=hold.executor_id)
