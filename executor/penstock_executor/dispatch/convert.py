"""Engine values to the messages of the internal service, and back."""

from __future__ import annotations

import json
from pathlib import Path

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import AttemptEnded, AttemptStarted, CachedResult, Outputs
from penstock_ir.model import Pipeline

from penstock_executor.attempts import TaskOutcome, TaskStarted
from penstock_executor.engine.rows import ArtifactRow, TaskRow
from penstock_executor.engine.state import ContainerNode, RunContext


def pipeline_root(root: str) -> str:
    """A pipeline root as a URI without a trailing slash; a plain path means files."""
    if "://" not in root:
        root = Path(root).expanduser().absolute().as_uri()
    return root.rstrip("/")


def storable(text: str) -> str:
    """Text that every database and every message takes: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def deadline_millis(pipeline: Pipeline) -> int:
    """`pipelineConfig.activeDeadlineSeconds`, 0 when there is none (executor.md §1.9)."""
    return max(0, int(pipeline.config.get("activeDeadlineSeconds") or 0)) * 1000  # type: ignore[arg-type]


def fill_task_row(message: pb.TaskRow, row: TaskRow) -> None:
    message.path = row.path
    message.name = row.name
    message.display_name = row.display_name
    message.parent_path = row.parent_path
    message.kind = row.kind.value
    message.state = row.state.value
    message.attempt = row.attempt
    message.created_at_millis = row.created_at
    message.started_at_millis = row.started_at
    message.finished_at_millis = row.finished_at
    message.error = storable(row.error)
    message.inputs_json = row.inputs
    message.outputs_json = row.outputs
    message.pod_name = row.pod_name
    message.log_uri = row.log_uri
    message.iteration_index = -1 if row.iteration is None else row.iteration
    message.fingerprint = row.fingerprint
    message.input_artifacts_json = row.input_artifacts
    message.output_artifacts_json = row.output_artifacts
    message.phase = row.phase
    message.wake_at_millis = row.wake_at
    for state, at in row.history:
        message.history.add(state=state.value, at_millis=at)


def fill_artifact_row(message: pb.ArtifactRow, row: ArtifactRow) -> None:
    artifact = row.artifact
    message.name = artifact.name
    message.type = artifact.type
    message.uri = artifact.uri
    message.metadata_json = json.dumps(dict(artifact.metadata), separators=(",", ":"), ensure_ascii=False).encode()
    message.task_path = row.task_path
    message.port = row.port
    message.created_at_millis = row.created_at
    message.display_name = artifact.display_name


def fill_cache_entry(message: pb.CacheEntry, node: ContainerNode, context: RunContext) -> None:
    message.fingerprint = node.fingerprint
    message.pipeline_name = context.pipeline_name
    message.namespace = context.namespace
    message.task_path = node.path
    message.outputs_json = json.dumps(node.outputs.to_json(), separators=(",", ":"), ensure_ascii=False).encode()
    message.created_at_millis = node.finished_at


def cached_result(answer: pb.LookupCacheResponse.Answer) -> CachedResult | None:
    if not answer.found:
        return None
    return CachedResult(
        outputs=Outputs.from_json(json.loads(answer.outputs_json)),
        run_id=answer.run_id,
        path=answer.task_path,
        execution_id=answer.execution_id,
    )


def engine_event(event: TaskStarted | TaskOutcome) -> AttemptStarted | AttemptEnded:
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
        )
    return AttemptStarted(
        path=key.path, attempt=key.attempt, at=event.at_millis, log_uri=event.log_uri, pod_name=event.pod_name
    )
