"""Tasks and artifacts of penstock.v1."""

from __future__ import annotations

import json

from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.task import Artifact, Task
from penstock_server.rpc.convert.common import struct_of_text, timestamp


def task_to_proto(task: Task) -> pb.Task:
    message = pb.Task(
        path=task.path,
        name=task.name,
        display_name=task.display_name,
        parent_path=task.parent_path,
        kind=task.kind.value,
        state=task.state.value,
        attempts=task.attempt,
        error=task.error,
        execution_id=task.execution_id,
        inputs=struct_of_text(task.inputs),
        outputs=struct_of_text(task.outputs),
        iteration_index=task.iteration_index,
        log_uri=task.log_uri,
        pod_name=task.pod_name,
        waiting=task.waiting,
    )
    for at, field in (
        (task.created_at, message.created_at),
        (task.started_at, message.started_at),
        (task.finished_at, message.finished_at),
    ):
        if at:
            field.FromMilliseconds(at)
    if task.finished_at and task.started_at:
        message.duration_millis = max(0, task.finished_at - task.started_at)
    for document, target in (
        (task.input_artifacts, message.input_artifacts),
        (task.output_artifacts, message.output_artifacts),
    ):
        for port, names in json.loads(document).items():
            target[port].names.extend(names)
    return message


def artifact_to_proto(artifact: Artifact) -> pb.Artifact:
    return pb.Artifact(
        name=artifact.name,
        display_name=artifact.display_name,
        type=artifact.type,
        uri=artifact.uri,
        metadata=struct_of_text(artifact.metadata),
        run_id=artifact.run_id,
        task_path=artifact.task_path,
        port=artifact.port,
        created_at=timestamp(artifact.created_at),
        metadata_id=artifact.metadata_id,
    )
