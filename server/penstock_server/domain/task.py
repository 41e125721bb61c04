"""Tasks and artifacts of runs as the API shows them: what executors report."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState

MAX_METRIC_NAME = 128
# Ids of tasks are asked for at every change of one.
_REMEMBERED = 16384


@dataclass(frozen=True, slots=True)
class Task:
    """One row of `tasks`. JSON columns are text. `iteration_index` is None when the task is no iteration."""

    run_id: str
    path: str
    name: str
    kind: TaskKind
    state: TaskState
    display_name: str = ""
    parent_path: str = ""
    history: tuple[tuple[TaskState, int], ...] = ()
    attempt: int = 0
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    error: str = ""
    execution_id: int = 0
    inputs: str = "{}"
    outputs: str = "{}"
    input_artifacts: str = "{}"
    output_artifacts: str = "{}"
    iteration_index: int | None = None
    pod_name: str = ""
    log_uri: str = ""
    fingerprint: str = ""
    phase: str = ""
    wake_at: int = 0
    waiting: str = ""
    """Why the attempt that is made does not run yet; of the root, why attempts are not made."""

    @property
    def task_id(self) -> str:
        return task_id_of(self.run_id, self.path)


class TaskSummary(NamedTuple):
    """What a list shows of a task, in the columns' own form; a NamedTuple, because 100,000 of them are read at once."""

    path: str
    name: str
    display_name: str
    parent_path: str
    kind: str
    state: str
    attempt: int
    created_at: int
    started_at: int
    finished_at: int
    iteration_index: int | None
    changed: int
    """The number of the task's latest change."""
    task_id: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One row of `artifacts`; `name` is unique in a run, `metadata` JSON text."""

    name: str
    run_id: str
    task_path: str
    port: str
    type: str
    uri: str
    display_name: str = ""
    metadata: str = "{}"
    created_at: int = 0
    metadata_id: int = 0


def metrics_of(artifact: Artifact) -> dict[str, float]:
    """The scalar metrics in an artifact: finite numbers by name."""
    if artifact.type != "system.Metrics":
        return {}
    return {
        name: float(value)
        for name, value in json.loads(artifact.metadata).items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
        and 0 < len(name) <= MAX_METRIC_NAME
    }


@dataclass(frozen=True, slots=True)
class DriverTask:
    """One row of `driver_tasks`: a task that a driver of upstream's reported."""

    task_id: str
    namespace: str
    pipeline_name: str
    run_id: str
    execution_id: str
    fingerprint: str
    created_at: int
    finished_at: int = 0


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The outputs of a task (JSON), kept for tasks with the same fingerprint in the same pipeline and namespace."""

    fingerprint: str
    namespace: str
    pipeline_name: str
    run_id: str
    task_path: str
    outputs: str
    created_at: int


@dataclass(frozen=True, slots=True)
class CacheHit:
    """`execution_id` is that of the task that made the result, in ML Metadata; 0 when it has none."""

    entry: CacheEntry
    execution_id: int = 0


class CacheKey(NamedTuple):
    """What a task's result is kept under; a NamedTuple, because dictionaries are looked up by it."""

    fingerprint: str
    pipeline_name: str
    namespace: str


def with_waits(tasks: Sequence[Task]) -> list[Task]:
    """The tasks of a run, those that wait with the reason: their own, else that of the whole run."""
    general = next((task.waiting for task in tasks if not task.path), "")
    return [_with_wait(task, general) for task in tasks]


def _with_wait(task: Task, general: str) -> Task:
    # One that waits for its gang has this phase in its row.
    text = task.waiting if task.phase in (TaskPhase.LAUNCHED, TaskPhase.CACHE_LOOKUP) else ""
    if not text and task.phase == TaskPhase.LAUNCHED and task.state is TaskState.PENDING:
        text = general
    return task if text == task.waiting else replace(task, waiting=text)


@lru_cache(_REMEMBERED)
def task_id_of(run_id: str, path: str) -> str:
    """The id in `run_details.task_details`: stable, and no secret."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{path}"))
