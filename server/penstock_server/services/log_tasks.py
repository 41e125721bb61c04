"""Which task a log is of, and how the tasks of many logs stand.

Invariants: a Pod's name is that of one task, or of none: a log that several tasks write to is nobody's until one of
them is named. What an attempt's part of such a log is, is read with the task, in one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from penstock_server.domain.log_parts import LogPart
from penstock_server.domain.run import Run
from penstock_server.domain.task import Task, task_id_of
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import runs
from penstock_server.services.log_source import LogSource
from penstock_server.services.ports import UnitOfWork


@dataclass(frozen=True, slots=True)
class LogRequest:
    """`node_id` is the path of a task, its id or the name of its Pod; of any run when `run_id` is empty.
    `tail_bytes` 0 means all.
    """

    run_id: str
    node_id: str
    follow: bool = False
    tail_bytes: int = 0


def task_of(uow: UnitOfWork, request: LogRequest) -> tuple[Run, Task | None, LogPart | None]:
    """The run, and the task when the run has reached it, with its attempt's part of its Pod's log.

    Raises NotFoundError, also when no run is named and no task is found; InvalidArgumentError for the name of a Pod
    that several tasks have.
    """
    run = runs.find(uow, request.run_id) if request.run_id else None
    task = (
        uow.tasks.get(request.run_id, task_id_of(request.run_id, request.node_id))
        or uow.tasks.get(request.run_id, request.node_id)
        or _only_task_of_pod(uow, request)
    )
    if run is None:
        if task is None:
            raise NotFoundError("Task", request.node_id)
        run = runs.find(uow, task.run_id)
    return run, task, parts(uow, run.run_id, [task])[task.task_id] if task is not None else None


def _only_task_of_pod(uow: UnitOfWork, request: LogRequest) -> Task | None:
    found = uow.tasks.of_pod(request.run_id, request.node_id)
    if len(found) > 1:
        text = f"several tasks ran in the Pod {request.node_id}; name the task by its path or its id"
        raise InvalidArgumentError(text, "node_id")
    return found[0] if found else None


def parts(uow: UnitOfWork, run_id: str, tasks: Sequence[Task]) -> dict[str, LogPart]:
    """Where the latest attempt of each of these tasks of a run writes to a Pod's log, by the tasks' ids."""
    keys = [(task.task_id, task.attempt) for task in tasks if task.pod_name]
    rows = uow.attempts.rows(run_id, keys) if keys else {}
    found: dict[str, LogPart] = {}
    for task in tasks:
        row = rows.get((task.task_id, task.attempt))
        found[task.task_id] = LogPart(task.pod_name)
        if row is not None:
            # An executor that takes the run over may tell later times of its phases, but not of when it was asked for.
            found[task.task_id] = LogPart(task.pod_name, row.log_mark, row.created_at)
    return found


def tell(uow: UnitOfWork, run_id: str, sources: Collection[LogSource]) -> list[LogSource]:
    """Tells logs of one run how their tasks stand; those that this is new to. Raises NotFoundError."""
    run_ended = runs.find(uow, run_id).state.final
    by_id: dict[str, list[LogSource]] = defaultdict(list)
    by_pod: dict[str, list[LogSource]] = defaultdict(list)
    for source in sources:
        if source.task is not None:
            by_id[source.task.task_id].append(source)
        else:
            by_id[source.node_id].append(source)
            by_id[task_id_of(run_id, source.node_id)].append(source)
            by_pod[source.node_id].append(source)
    named = uow.tasks.named(run_id, list(by_id), list(by_pod))
    of_task = parts(uow, run_id, named)
    tasks = {
        source: task for task in named for source in (*by_id.get(task.task_id, ()), *by_pod.get(task.pod_name, ()))
    }
    return [
        source
        for source in sources
        if source.told(task := tasks.get(source), of_task[task.task_id] if task else None, run_ended=run_ended)
    ]
