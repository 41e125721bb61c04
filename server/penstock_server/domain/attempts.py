"""Attempts of tasks: what executors tell of them, and the phases that follow from it.

Why the phases are made when they are asked for: an executor tells moments as it learns of them, in any order, and some
never. What is kept is what was told.

Invariants: the spans of an attempt follow one another without gaps, from the first moment that is known. A moment that
is not known makes no span of its own: its phase is merged into the next that is told apart. Clocks of several machines
may disagree; a moment never lies before the one that it follows. An attempt that is over ends, whoever failed to say
when: with the beginning of the next one, with its task, or with its run. One that goes on has a last span without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState

from penstock_server.domain.task import Task

TIMES = (
    "created_at",
    "placed_at",
    "scheduled_at",
    "prepared_at",
    "fetched_at",
    "started_at",
    "finished_at",
    "stored_at",
    "ended_at",
)
"""The moments of an attempt, in their order."""
_times_of = attrgetter(*TIMES)
_CREATED, _STARTED, _FINISHED, _ENDED = 0, 5, 6, 8


class Phase(IntEnum):
    """As AttemptPhase of penstock.v1."""

    QUEUED = 1
    SCHEDULING = 2
    PREPARING = 3
    FETCHING = 4
    RUNNING = 5
    STORING = 6
    CONCLUDING = 7


class AttemptOutcome(str, Enum):
    """The words that executors use; they are in databases."""

    UNKNOWN = ""
    SUCCEEDED = "succeeded"
    USER = "user"
    INFRASTRUCTURE = "infrastructure"
    CANCELED = "canceled"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One row of `attempts`: times in milliseconds since 1970. 0 and an empty text are not known."""

    run_id: str
    task_id: str
    attempt: int
    created_at: int = 0
    placed_at: int = 0
    scheduled_at: int = 0
    prepared_at: int = 0
    fetched_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    stored_at: int = 0
    ended_at: int = 0
    outcome: AttemptOutcome = AttemptOutcome.UNKNOWN
    exit_code: int | None = None
    error: str = ""
    pod_name: str = ""
    log_uri: str = ""
    node: str = ""
    placement: str = ""
    log_mark: str = ""

    @property
    def told(self) -> Told:
        return self.attempt, _times_of(self)


class LeafTask(NamedTuple):
    """A task that holds no others, as far as its attempts and the critical path are about it."""

    task_id: str
    path: str
    display_name: str
    kind: TaskKind
    state: TaskState
    phase: str
    attempt: int
    created_at: int
    started_at: int
    finished_at: int


_leaf_values = attrgetter(*LeafTask._fields)


def leaf_of(task: Task) -> LeafTask:
    """Of a task that holds no others."""
    return LeafTask._make(_leaf_values(task))


def row_of(task: Task, number: int) -> AttemptRow:
    """Of an attempt of which nothing was told: the texts of its task."""
    return AttemptRow(task.run_id, task.task_id, number, error=task.error, pod_name=task.pod_name, log_uri=task.log_uri)


# Plain tuples, here and below, because a timeline makes them of 100,000 attempts.
Told: TypeAlias = tuple[int, tuple[int, ...]]
"""The number of an attempt, and its moments in the order of TIMES."""
Life: TypeAlias = tuple[int, tuple[int, ...], int, bool]
"""An attempt in the light of what came after it: its number, its moments, when it was over (at the latest; 0 if it goes
on), and whether it is the last of its task."""


class Span(NamedTuple):
    """`end` is 0 while it lasts."""

    phase: Phase
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """As the API shows it."""

    path: str
    number: int
    state: TaskState
    failure: str
    spans: Sequence[Span]
    row: AttemptRow


_PHASES = tuple(Phase)
_PREPARED = 3
_NEVER = 2**62


def moments_of(times: Sequence[int], closed_at: int, now: int) -> tuple[int, ...]:
    """The eight moments between which the seven phases lie; a phase that is not told apart has no length.

    `times` are those of TIMES, some of which is known; `closed_at` as of Life.
    """
    created, placed, scheduled, prepared, fetched, started, finished, stored, ended = times
    if 0 < created <= placed <= scheduled <= prepared <= started <= finished <= stored <= ended:
        return created, placed, scheduled, prepared, started, finished, stored, ended
    # What is under way when the program starts lasts until then; where no node was waited for, it was prepared.
    if started and not prepared and not fetched:
        prepared = started
        if not scheduled and not placed:
            placed = scheduled = started
    # Where nothing says how long it took to store, all the time is that of the outcome.
    if closed_at and finished and not stored:
        stored = finished
    known = (created, placed, scheduled, prepared, started, finished, stored)
    latest = max((number for number, at in enumerate(known) if at), default=0)
    latest = max(latest, _PREPARED) if fetched else latest
    end = closed_at or now
    since = created or first_of(times)
    moments = []
    for number, at in enumerate(known):
        # A phase without an end is part of the next that has one. The latest lasts to the end of the attempt.
        since = max(since, at if at or number <= latest else end)
        moments.append(since)
    return (*moments, max(since, end))


def first_of(times: Sequence[int]) -> int:
    """The first moment that is known, 0 when none is."""
    return next(filter(None, times), 0)


def spans_of(times: Sequence[int], closed_at: int) -> list[Span]:
    """The phases that have any length; of what began and ended in the same moment the last one."""
    if not first_of(times):
        return []
    moments = moments_of(times, closed_at, _NEVER)
    spans = zip(_PHASES, moments[:-1], moments[1:], strict=True)
    found = [Span(phase, start, end if end < _NEVER else 0) for phase, start, end in spans if start < end]
    return found or [Span(Phase.CONCLUDING, moments[-1], moments[-1])]


def lives_of(task: LeafTask, told: Sequence[Told], run_ended_at: int) -> list[Life]:
    """The attempts of a task by their number, which `told` is in the order of.

    Of a run that is older than the table of attempts nothing was told: it has one, made from the task's own times.
    `run_ended_at` is 0 while the run goes on.
    """
    lives: list[Life] = []
    # When the attempt after it began: then it was over. The last one is over with its task, or with the run.
    over_at, last = task.finished_at or run_ended_at, True
    for number, times in reversed(told or _from_task(task)):
        lives.append((number, times, times[_ENDED] or over_at, last))
        over_at, last = times[0] or first_of(times) or over_at, False
    lives.reverse()
    return lives


def _from_task(task: LeafTask) -> list[Told]:
    if task.kind is not TaskKind.CONTAINER or not task.attempt or task.phase == TaskPhase.CACHE_LOOKUP:
        return []
    terminal = task.state.terminal
    if task.state in (TaskState.CACHED, TaskState.SKIPPED, TaskState.OMITTED) or (terminal and not task.started_at):
        return []
    times = [0] * len(TIMES)
    times[_CREATED], times[_STARTED] = task.created_at, task.started_at
    times[_FINISHED] = times[_ENDED] = task.finished_at if terminal else 0
    return [(task.attempt, tuple(times))]


def shown(task: LeafTask, life: Life, row: AttemptRow) -> Attempt:
    """`row` is of the attempt that `life` is."""
    known = row.outcome is not AttemptOutcome.UNKNOWN
    number, times, over_at, last = life
    closed_at = over_at or (max(times) if known else 0)
    failure = row.outcome.value if row.outcome not in _NO_FAILURES else ""
    state = _STATES.get(row.outcome, TaskState.FAILED) if known else _state(task, times, closed_at, last=last)
    return Attempt(task.path, number, state, failure, spans_of(times, closed_at), row)


_NO_FAILURES = (AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED, AttemptOutcome.CANCELED)
_STATES = {AttemptOutcome.SUCCEEDED: TaskState.SUCCEEDED, AttemptOutcome.CANCELED: TaskState.CANCELED}


def _state(task: LeafTask, times: Sequence[int], closed_at: int, *, last: bool) -> TaskState:
    """Of an attempt whose outcome was not told."""
    if not closed_at:
        return TaskState.RUNNING if any(times[_STARTED:_ENDED]) else TaskState.PENDING
    # The last one ended as its task did; a task that succeeded tried no more.
    return task.state if last and task.state in (TaskState.SUCCEEDED, TaskState.CANCELED) else TaskState.FAILED
