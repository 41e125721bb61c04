"""Reads what a watch of a run is told next.

Invariants: what is committed while this reads is told once more, never left out. A message has a bounded number of
tasks and characters, and one task at least. Summaries take less of both to read and to send, so one message has more.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_server.domain.changes import Position, RunChange
from penstock_server.domain.task import Task, TaskSummary, task_id_of, with_waits
from penstock_server.services import runs
from penstock_server.services.ports import Storage, UnitOfWork

TASKS_OF_A_MESSAGE = 500
SUMMARIES_OF_A_MESSAGE = 4000
# Clients of gRPC take 4 MiB, if nothing else is set.
CHARACTERS_OF_A_MESSAGE = 1024 * 1024


def changes_after(storage: Storage, run_id: str, position: Position, *, summary: bool) -> RunChange:
    """Raises NotFoundError."""
    with storage.reading() as uow:
        # Before what it counts.
        newest = uow.runs.changes([run_id]).get(run_id, 0)
        run = runs.find(uow, run_id)
        upto = Position(max(newest, position.change))
        if summary:
            found = uow.tasks.summaries_changed_after(run_id, position, SUMMARIES_OF_A_MESSAGE)
            summaries = found[: _fitting(map(_length_of_summary, found))]
            if len(summaries) == len(found) < SUMMARIES_OF_A_MESSAGE:
                return RunChange(run, (), upto, more=False, summaries=summaries)
            last = summaries[-1]
            return RunChange(run, (), Position(last.changed, last.task_id), more=True, summaries=summaries)
        rows = uow.tasks.changed_after(run_id, position, TASKS_OF_A_MESSAGE)
        tasks = [task for _, task in rows[: _fitting(_length(task) for _, task in rows)]]
        shown = _with_waits(uow, run_id, tasks)
    if len(tasks) == len(rows) < TASKS_OF_A_MESSAGE:
        return RunChange(run, shown, upto, more=False)
    return RunChange(run, shown, Position(rows[len(tasks) - 1][0], tasks[-1].task_id), more=True)


def _with_waits(uow: UnitOfWork, run_id: str, tasks: list[Task]) -> list[Task]:
    root = uow.tasks.get(run_id, task_id_of(run_id, ""))
    return with_waits([root, *tasks])[1:] if root is not None else tasks


def _length(task: Task) -> int:
    return sum(map(len, (task.inputs, task.outputs, task.input_artifacts, task.output_artifacts, task.error)))


def _length_of_summary(task: TaskSummary) -> int:
    return len(task.path) + len(task.parent_path) + len(task.name) + len(task.display_name)


def _fitting(lengths: Iterable[int]) -> int:
    """How many of the tasks with so many characters make one message."""
    characters = number = 0
    for length in lengths:
        characters += length
        if characters > CHARACTERS_OF_A_MESSAGE and number:
            break
        number += 1
    return number
