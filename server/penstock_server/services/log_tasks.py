"""Which task a log is of, and how the tasks of many logs stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from penstock_server.domain.run import Run
from penstock_server.domain.task import Task, task_id_of
from penstock_server.errors import NotFoundError
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


def task_of(uow: UnitOfWork, request: LogRequest) -> tuple[Run, Task | None]:
    """The run, and the task when the run has reached it. Raises NotFoundError, also when no run is named and no task
    is found.
    """
    run = runs.find(uow, request.run_id) if request.run_id else None
    task = (
        uow.tasks.get(request.run_id, task_id_of(request.run_id, request.node_id))
        or uow.tasks.get(request.run_id, request.node_id)
        or uow.tasks.by_pod(request.run_id, request.node_id)
    )
    if run is None:
        if task is None:
            raise NotFoundError("Task", request.node_id)
        run = runs.find(uow, task.run_id)
    return run, task


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
    tasks = {
        source: task
        for task in uow.tasks.named(run_id, list(by_id), list(by_pod))
        for source in (*by_id.get(task.task_id, ()), *by_pod.get(task.pod_name, ()))
    }
    return [source for source in sources if source.told(tasks.get(source), run_ended=run_ended)]
