"""Which parts of what is stored an answer needs, by the view and the field mask of its call.

Invariant: what is left out here is in no field of the answer that the mask has. A test asks for each field by itself,
and finds it as it is in the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_server.domain.field_masks import FieldMask
from penstock_server.domain.parts import Fields, RunParts, TaskPageParts

# The fields of what is stored that may be long, with the fields of messages that are made from them.
_OF_RUN: Mapping[str, tuple[str, ...]] = {
    "submitted_spec": ("pipeline_spec",),
    "runtime_config": ("runtime_config",),
    "plugins_input": ("plugins_input",),
    # What the run was started with, for the engine.
    "arguments": (),
}
_OF_SCHEDULE: Mapping[str, tuple[str, ...]] = {
    "submitted_spec": ("pipeline_spec",),
    "runtime_config": ("runtime_config",),
    "plugins_input": ("plugins_input",),
    "parameters": (),
}
# Of tasks, which come by the thousands, everything that takes time to read or to take apart.
_OF_TASK_DETAIL: Mapping[str, tuple[str, ...]] = {
    "inputs": (),
    "outputs": (),
    "log_uri": (),
    "fingerprint": (),
    "parent_path": ("parent_task_id", "child_tasks"),
    "history": ("state_history",),
    "phase": ("state_history",),
    "waiting": ("state_history",),
    "error": ("error",),
    "input_artifacts": ("inputs",),
    "output_artifacts": ("outputs",),
}
_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "input_artifacts": ("input_artifacts",),
    "output_artifacts": ("output_artifacts",),
    "log_uri": ("log_uri",),
    "error": ("error",),
    "history": (),
    "fingerprint": (),
    "waiting": ("waiting",),
}


def of_run(mask: FieldMask, *, document: bool = True, tasks: bool = True) -> RunParts:
    """Of a v2beta1 Run; `document` and `tasks`: whether the view has them."""
    details = mask.under("run_details").under("task_details")
    without = _unwanted(mask, _OF_RUN)
    return RunParts(
        without if document else without | {"submitted_spec"},
        tasks and mask.wants("run_details"),
        _unwanted(details, _OF_TASK_DETAIL),
        details.wants("inputs", "outputs"),
    )


def of_schedule(mask: FieldMask) -> Fields:
    """Of a v2beta1 RecurringRun: the fields of Schedule that are not needed."""
    return _unwanted(mask, _OF_SCHEDULE)


def of_tasks(mask: FieldMask) -> TaskPageParts:
    """Of a ListTasksResponse."""
    task = mask.under("tasks")
    return TaskPageParts(
        _unwanted(task, _OF_TASK),
        counts=mask.wants("counts"),
        child_counts=task.wants("child_counts"),
        waits=task.wants("waiting"),
    )


def _unwanted(mask: FieldMask, made_of: Mapping[str, tuple[str, ...]]) -> Fields:
    return frozenset(name for name, fields in made_of.items() if not mask.wants(*fields))
