"""What is new of a run, or of a page of runs, since a number: what watches of it are told.

`runs.changes` counts the transactions that changed a run, and each of its tasks has the number of its latest one. The
changes of a page are counted by the server that looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from penstock_server.domain.run import Run
from penstock_server.domain.task import Task, TaskSummary

_BEHIND_ALL_TASKS = "~"


class Position(NamedTuple):
    """How far a watch has come: changes before `change` are told in full, and in it those of tasks up to `task_id`, or
    of a page's runs up to the one of that id."""

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


class RunMark(NamedTuple):
    """What tells whether a run has changed, but for its tasks: `mark` is then another one. `final`: it has ended."""

    run_id: str
    mark: int
    final: bool


@dataclass(frozen=True, slots=True, eq=False)
class ListedRun:
    """A run as lists show it; the same object in all messages that have it as it is."""

    run: Run


@dataclass(frozen=True, slots=True, eq=False)
class RunsChange:
    """One message of a watched page of runs: `run_ids` are all of the page in their order, `runs` those that came or
    changed. `more`: there are further such runs. `finished`: all of the page have ended.
    """

    run_ids: Sequence[str]
    runs: Sequence[ListedRun]
    total_size: int
    next_page_token: str
    position: Position
    more: bool
    finished: bool


def position_after(sequence: int) -> Position:
    """Before everything for 0: tasks of releases that counted no changes have 0 as their latest one."""
    return Position(sequence if sequence else -1)
