"""Tasks and artifacts of penstock.v1.

Why tasks are converted by name: a field of the message that has the name of a field of `domain.Task` shows it, and
nothing here names it again.
"""

from __future__ import annotations

import json
from dataclasses import fields
from operator import attrgetter
from typing import Any

from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.coming_fires import ComingFires
from penstock_server.domain.task import Artifact, Task, TaskSummary
from penstock_server.domain.task_listing import GROUPS, TaskListRequest, TaskPage
from penstock_server.rpc.convert.common import struct_of_text, timestamp


def _shown(message_type: str) -> tuple[str, ...]:
    """Names that `domain.Task` and the message share; `message_type` is empty for strings and numbers."""
    known = pb.Task.DESCRIPTOR.fields_by_name
    shared = (known[field.name] for field in fields(Task) if field.name in known)
    return tuple(one.name for one in shared if (one.message_type.full_name if one.message_type else "") == message_type)


_SCALARS = _shown("")
_TIMES = _shown("google.protobuf.Timestamp")
_STRUCTS = _shown("google.protobuf.Struct")
_GROUPS = {kind.value for kind in GROUPS}
_scalars_of = attrgetter(*_SCALARS)
_SUMMARY_SCALARS = tuple(name for name in _SCALARS if name in TaskSummary._fields)
_summary_scalars_of = attrgetter(*_SUMMARY_SCALARS)


def task_to_proto(task: Task) -> pb.Task:
    """Fields of one name are the same value, in the form that the message's field has."""
    values: dict[str, Any] = dict(zip(_SCALARS, _scalars_of(task), strict=True))
    for name in _STRUCTS:
        values[name] = struct_of_text(getattr(task, name))
    message = pb.Task(attempts=task.attempt, **values)
    _set_times(message, task)
    for document, target in (
        (task.input_artifacts, message.input_artifacts),
        (task.output_artifacts, message.output_artifacts),
    ):
        for port, names in json.loads(document).items():
            target[port].names.extend(names)
    return message


def add_summary(target: Any, task: TaskSummary) -> None:
    """To a list of tasks in a message, without a copy: they come by the thousands."""
    scalars = zip(_SUMMARY_SCALARS, _summary_scalars_of(task), strict=True)
    _set_times(target.add(attempts=task.attempt, **dict(scalars)), task)


def _set_times(message: pb.Task, task: Task | TaskSummary) -> None:
    for name in _TIMES:
        at = getattr(task, name)
        if at:
            time = getattr(message, name)
            # `FromMilliseconds` is Python, and costs more than the rest of a summary.
            time.seconds, time.nanos = at // 1000, at % 1000 * 1_000_000
    if task.finished_at and task.started_at:
        message.duration_millis = max(0, task.finished_at - task.started_at)


def task_list_request(message: pb.ListTasksRequest) -> TaskListRequest:
    """The parent's path is told apart from none."""
    return TaskListRequest(
        run_id=message.run_id,
        page_size=message.page_size,
        page_token=message.page_token,
        parent_path=message.parent_path if message.HasField("parent_path") else None,
        states=tuple(message.states),
        text=message.text,
        sort_by=message.sort_by,
    )


def task_page_to_proto(page: TaskPage) -> pb.ListTasksResponse:
    message = pb.ListTasksResponse(
        tasks=map(task_to_proto, page.tasks),
        next_page_token=page.next_page_token,
        total_size=page.total_size,
        counts={state.value: number for state, number in page.counts.items()},
        sequence=page.sequence,
    )
    for shown in message.tasks:
        counts = page.child_counts.get(shown.path) if shown.kind in _GROUPS else None
        shown.child_counts.update({state.value: number for state, number in (counts or {}).items()})
    return message


def fires_to_proto(found: ComingFires, zone: str) -> pb.NextFires:
    """`zone` is that of the server."""
    return pb.NextFires(fires=map(timestamp, found.times), reason=found.reason, time_zone=zone)


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
