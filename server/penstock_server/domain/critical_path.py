"""Which tasks the end of a run waited for: a chain of them, each made in the moment in which the one before it ended.

Why times are enough: the engine gives a task that ends and those that it thereby makes the time of the same event, so
both are equal to the millisecond. No document is read for it, and loops, branches and exit tasks need no rules.

Invariants: linear in the number of tasks. Every task of the chain but the last lasted, so each step leads back in time
and the search ends. What was skipped, or took no time, is in no chain. After a retry of the run a chain begins with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock_ir.task_rows import TaskState

from penstock_server.domain.attempts import LeafTask

MOST_TASKS = 1000
"""Of a longer chain those that ended last."""
_NEVER_RAN = (TaskState.SKIPPED, TaskState.OMITTED)


def critical_path(tasks: Sequence[LeafTask]) -> list[LeafTask]:
    """From the first to the last. In a run that goes on, the last is the task that has lasted longest."""
    ended_at: dict[int, list[LeafTask]] = {}
    last: LeafTask | None = None
    longest: LeafTask | None = None
    for task in tasks:
        if task.state in _NEVER_RAN:
            continue
        if not task.state.terminal:
            if longest is None or task.created_at < longest.created_at:
                longest = task
        elif task.finished_at > task.created_at:
            ended_at.setdefault(task.finished_at, []).append(task)
            if last is None or task.finished_at > last.finished_at:
                last = task
    step = longest or last
    chain: list[LeafTask] = []
    while step is not None and len(chain) < MOST_TASKS:
        chain.append(step)
        # Each list is looked at for one step alone, because the steps lead back in time.
        step = _nearest(ended_at.get(step.created_at, ()), step.path)
    return chain[::-1]


def _nearest(candidates: Iterable[LeafTask], path: str) -> LeafTask | None:
    """The one that shares most of the groups around it with the task of this path."""
    return max(candidates, key=lambda task: _shared(task.path, path), default=None)


def _shared(one: str, other: str) -> int:
    """How many groups are around both."""
    number = 0
    for first, second in zip(one.split("/")[:-1], other.split("/")[:-1], strict=False):
        if first != second:
            break
        number += 1
    return number
