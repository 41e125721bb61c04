"""What is new of a run since a number: what watches of it are told.

`runs.changes` counts the transactions that changed a run, and each of its tasks has the number of its latest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from penstock_server.domain.run import Run
from penstock_server.domain.task import Task, TaskSummary

_BEHIND_ALL_TASKS = "~"


class Position(NamedTuple):
    """How far a watch has come: changes before `change` are told in full, and those of tasks up to `task_id` in it."""

    change: int
    task_id: str = _BEHIND_ALL_TASKS


@dataclass(frozen=True, slots=True, eq=False)
class RunChange:
    """One message of a watch; the same object for all that stand at the same position.

    `tasks`, or `summaries` where those are asked for, are those after that position, in the order of (latest change,
    id), `position` is where a watch stands that was told. `more`: there are further tasks.
    """

    run: Run
    tasks: Sequence[Task]
    position: Position
    more: bool
    summaries: Sequence[TaskSummary] = ()

    @property
    def sequence(self) -> int:
        """The last change that is told in full."""
        return max(0, self.position.change - 1) if self.more else self.position.change


def position_after(sequence: int) -> Position:
    """Before everything for 0: tasks of releases that counted no changes have 0 as their latest one."""
    return Position(sequence if sequence else -1)
