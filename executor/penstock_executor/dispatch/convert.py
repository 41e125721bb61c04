"""Engine values to the messages of the internal service, and back."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import AttemptEnded, AttemptStarted, CachedResult, FailureCause, Outputs
from penstock_ir.model import Pipeline

from penstock_executor.attempts import TaskOutcome, TaskStarted
from penstock_executor.engine.state import ContainerNode


def pipeline_root(root: str) -> str:
    """A pipeline root as a URI without a trailing slash; a plain path means files."""
    if "://" not in root:
        root = Path(root).expanduser().absolute().as_uri()
    return root.rstrip("/")


def deadline_millis(pipeline: Pipeline) -> int:
    """`pipelineConfig.activeDeadlineSeconds`, 0 when there is none (executor.md §1.9)."""
    return max(0, int(pipeline.config.get("activeDeadlineSeconds") or 0)) * 1000  # type: ignore[arg-type]


def cached_result(answer: pb.LookupCacheResponse.Answer) -> CachedResult | None:
    if not answer.found:
        return None
    return CachedResult(
        outputs=Outputs.from_json(json.loads(answer.outputs_json)),
        run_id=answer.run_id,
        path=answer.task_path,
        execution_id=answer.execution_id,
    )


def written_causes(node: ContainerNode | None, *, free_preemptions: bool) -> frozenset[FailureCause]:
    """The causes of failures that may be in the log of the task's run: the release before reads none, so each is
    written only where something follows from it."""
    causes = {FailureCause.PREEMPTED} if free_preemptions else set()
    if node is not None and node.task is not None and node.task.component.attempts.memory_step is not None:
        causes.add(FailureCause.OUT_OF_MEMORY)
    return frozenset(causes)


def engine_event(
    event: TaskStarted | TaskOutcome, causes: Collection[FailureCause] = ()
) -> AttemptStarted | AttemptEnded:
    """`causes` are those of failures that may be written to the run's log."""
    key = event.key
    if isinstance(event, TaskOutcome):
        return AttemptEnded(
            path=key.path,
            attempt=key.attempt,
            at=event.finished_at_millis,
            started_at=event.started_at_millis,
            failure=event.failure,
            exit_code=event.exit_code,
            error=event.error,
            outputs=Outputs(event.parameters, event.artifacts),
            log_uri=event.log_uri,
            pod_name=event.pod_name,
            cause=event.cause if event.cause in causes else None,
        )
    return AttemptStarted(
        path=key.path, attempt=key.attempt, at=event.at_millis, log_uri=event.log_uri, pod_name=event.pod_name
    )
