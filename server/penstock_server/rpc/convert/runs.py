"""Runs and the details of their tasks (api.md §2.8)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf import struct_pb2
from google.rpc import code_pb2, status_pb2
from penstock_api.v2beta1 import run_pb2 as pb
from penstock_api.v2beta1 import runtime_config_pb2
from penstock_ir.json_text import JsonTextError, check_depth
from penstock_ir.task_rows import TaskState

from penstock_server.domain.field_masks import EVERYTHING, FieldMask
from penstock_server.domain.options import RequestedOptions
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.task import Task, task_id_of
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import (
    fill_config,
    fill_struct,
    millis,
    plain_struct,
    plain_values,
    struct_of_text,
    timestamp,
)
from penstock_server.rpc.convert.inline import inline_document
from penstock_server.services.runs import NewRun, RunDetails

# Task states that the public enumeration lacks (executor.md §10.31).
_OTHER_NAMES = {TaskState.CACHED: "SUCCEEDED", TaskState.OMITTED: "RUNTIME_STATE_UNSPECIFIED"}
_TASK_STATES: Mapping[TaskState, Any] = {
    state: pb.RuntimeState.Value(_OTHER_NAMES.get(state, state.value)) for state in TaskState
}
_ALL_OF_TASK = frozenset(pb.PipelineTaskDetail.DESCRIPTOR.fields_by_name)
_IDS = {"task_id", "parent_task_id", "child_tasks"}
_RUN_STATES: Mapping[RunState, Any] = {state: pb.RuntimeState.Value(state.value) for state in RunState}


def new_run(message: pb.Run) -> NewRun:
    """The run that a CreateRun request describes."""
    config = message.runtime_config
    reference = message.pipeline_version_reference
    inline = message.WhichOneof("pipeline_source") == "pipeline_spec"
    return NewRun(
        display_name=message.display_name,
        description=message.description,
        experiment_id=message.experiment_id,
        pipeline_spec=inline_document(message.pipeline_spec, "run.pipeline_spec") if inline else None,
        pipeline_id=reference.pipeline_id,
        pipeline_version_id=reference.pipeline_version_id,
        parameters=plain_values(config.parameters, "run.runtime_config.parameters"),
        pipeline_root=config.pipeline_root,
        runtime_config=text_of_config(config) if message.HasField("runtime_config") else None,
        service_account=message.service_account,
        scheduled_at=millis(message.scheduled_at, "run.scheduled_at") if message.HasField("scheduled_at") else 0,
        recurring_run_id=message.recurring_run_id,
        plugins_input=plugins_text(message.plugins_input, "run.plugins_input") or "",
        options=_requested_options(message.options),
        labels=dict(message.labels),
    )


def to_proto_without_pipeline(run: Run) -> pb.Run:
    """The document can be megabytes, and never changes: it need not have been read."""
    message = to_proto(replace(run, submitted_spec=""))
    # A run has either the document that was sent with it or the ids of its version.
    if not run.pipeline_id and not run.pipeline_version_id:
        message.ClearField("pipeline_version_reference")
    return message


def to_proto(run: Run) -> pb.Run:
    message = pb.Run(
        experiment_id=run.experiment_id,
        run_id=run.run_id,
        display_name=run.display_name,
        storage_state=run.storage_state,
        description=run.description,
        service_account=run.service_account,
        created_at=timestamp(run.created_at),
        scheduled_at=timestamp(run.scheduled_at),
        finished_at=timestamp(run.finished_at),
        state=run.state.value,
        recurring_run_id=run.recurring_run_id,
        labels=run.labels,
        created_by=run.created_by,
    )
    for change in run.state_history:
        message.state_history.add(update_time=timestamp(change.at), state=_RUN_STATES[change.state])
    if run.submitted_spec:
        message.pipeline_spec.CopyFrom(struct_of_text(run.submitted_spec))
    else:
        message.pipeline_version_reference.pipeline_id = run.pipeline_id
        message.pipeline_version_reference.pipeline_version_id = run.pipeline_version_id
    if run.runtime_config is not None:
        fill_config(message.runtime_config, run.runtime_config)
        message.runtime_config.SetInParent()
    message.options.CopyFrom(
        pb.RunOptions(
            fail_fast=run.options.fail_fast,
            caching=run.options.caching,
            max_cache_age_seconds=run.options.max_cache_age,
            deadline_seconds=run.options.deadline,
            documented_final_status=run.options.documented_final_status,
            flat_collected=run.options.flat_collected,
            infrastructure_retries=run.options.infrastructure_retries,
            priority=run.options.priority,
            pool=run.options.pool,
            workers=run.options.workers,
        )
    )
    if run.plugins_input:
        fill_plugins(message.plugins_input, run.plugins_input)
    if run.error and run.state in (RunState.FAILED, RunState.CANCELED):
        message.error.CopyFrom(status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=run.error))
    return message


def details_to_proto(details: RunDetails, mask: FieldMask = EVERYTHING) -> pb.Run:
    """Of the tasks as much as the mask, a Run's, has of them."""
    document = mask.wants("pipeline_spec")
    message = to_proto(details.run) if document else to_proto_without_pipeline(details.run)
    if details.tasks:
        run = details.run
        wanted = mask.under("run_details").under("task_details")
        shows = _ALL_OF_TASK if wanted.tree is None else frozenset(wanted.tree)
        message.run_details.pipeline_context_id = run.pipeline_context_id
        message.run_details.pipeline_run_context_id = run.pipeline_run_context_id
        children: dict[str, list[Task]] = {}
        for task in details.tasks if "child_tasks" in shows else ():
            if task.path:
                children.setdefault(task.parent_path, []).append(task)
        # Once each: an id is a hash, and stands in its task, in its parent's and in its children's.
        ids = {task.path: task.task_id for task in details.tasks} if shows & _IDS else {}
        for task in details.tasks if shows else ():
            shown = message.run_details.task_details.add()
            _fill(shown, task, [ids[child.path] for child in children.get(task.path, ())], details.artifact_ids, shows)
            if "task_id" in shows:
                shown.task_id = ids[task.path]
            if task.path and "parent_task_id" in shows:
                shown.parent_task_id = ids.get(task.parent_path) or task_id_of(task.run_id, task.parent_path)
    return message


def _fill(
    message: pb.PipelineTaskDetail,
    task: Task,
    children: Sequence[str],
    artifact_ids: Mapping[str, int],
    shows: Collection[str],
) -> None:
    """All but its own id and its parent's; `children` are those of its children, `shows` the fields that are wanted.
    What was not read is empty, and need not be looked for in it.
    """
    _fill_values(message, task, shows)
    if task.error:
        message.error.CopyFrom(status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=task.error))
    for state, at in task.history:
        message.state_history.add(update_time=timestamp(at), state=_TASK_STATES[state])
    if task.waiting and message.state_history:
        # The error of a state that is not final is the reason why the task is still in it.
        message.state_history[-1].error.CopyFrom(status_pb2.Status(code=code_pb2.UNAVAILABLE, message=task.waiting))
    for child in children:
        message.child_tasks.add(task_id=child)
    if task.pod_name and "child_tasks" in shows:
        message.child_tasks.add(pod_name=task.pod_name)
    for document, field in ((task.input_artifacts, "inputs"), (task.output_artifacts, "outputs")):
        for port, names in json.loads(document).items() if document != "{}" else ():
            ids = [artifact_ids[name] for name in names if name in artifact_ids]
            if ids:
                getattr(message, field)[port].artifact_ids.extend(ids)


def _fill_values(message: pb.PipelineTaskDetail, task: Task, shows: Collection[str]) -> None:
    """The fields that have one value each."""
    if "run_id" in shows:
        message.run_id = task.run_id
    if "display_name" in shows:
        message.display_name = task.display_name or task.name or "root"
    for name, at in (("create_time", task.created_at), ("start_time", task.started_at), ("end_time", task.finished_at)):
        if name in shows:
            getattr(message, name).CopyFrom(timestamp(at))
    if "state" in shows:
        message.state = _TASK_STATES[task.state]
    if "execution_id" in shows:
        message.execution_id = task.execution_id
    if "pod_name" in shows:
        message.pod_name = task.pod_name


def _requested_options(options: pb.RunOptions) -> RequestedOptions:
    return RequestedOptions(
        fail_fast=options.fail_fast,
        caching=options.caching if options.HasField("caching") else None,
        max_cache_age=options.max_cache_age_seconds,
        deadline=options.deadline_seconds,
        documented_final_status=options.documented_final_status,
        flat_collected=options.flat_collected,
        infrastructure_retries=options.infrastructure_retries if options.HasField("infrastructure_retries") else None,
        priority=options.priority,
        pool=options.pool,
        workers=options.workers,
    )


def text_of_config(config: runtime_config_pb2.RuntimeConfig) -> str:
    """A RuntimeConfig as the text that is stored, to be returned in replies. Raises InvalidArgumentError."""
    document: dict[str, Any] = {}
    if config.parameters:
        document["parameters"] = plain_values(config.parameters, "runtime_config.parameters")
    if config.pipeline_root:
        document["pipeline_root"] = config.pipeline_root
    return json.dumps(document, ensure_ascii=False)


def plugins_text(given: Mapping[str, struct_pb2.Struct], field: str) -> str | None:
    """The input of plugins as the text that is stored, None if empty. Raises InvalidArgumentError with the field."""
    documents = {name: plain_struct(given[name], field) for name in sorted(given)}
    for name, document in documents.items():
        try:
            check_depth(document, "it")
        except JsonTextError as error:
            raise InvalidArgumentError(str(error), f"{field}.{name[:80]}") from error
    return json.dumps(documents) if documents else None


def fill_plugins(target: Any, stored: str) -> None:
    """The inverse of `plugins_text`, for a reply."""
    for name, document in json.loads(stored).items():
        fill_struct(target[name], document)
