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
from typing import NamedTuple

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

    @property
    def told(self) -> Told:
        return Told(self.attempt, _times_of(self))


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


class Told(NamedTuple):
    """The moments of one attempt, in the order of TIMES."""

    number: int
    times: tuple[int, ...]


class Life(NamedTuple):
    """An attempt in the light of what came after it. `closed_at`: when it was over, at the latest; 0 if it goes on."""

    number: int
    times: tuple[int, ...]
    closed_at: int
    last: bool


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


_EVERY = tuple(Phase)
# With which phase each moment begins; None: with it all is over.
_BEGINS: tuple[Phase | None, ...] = (
    Phase.QUEUED,
    Phase.SCHEDULING,
    Phase.PREPARING,
    Phase.FETCHING,
    Phase.FETCHING,
    Phase.RUNNING,
    Phase.STORING,
    Phase.CONCLUDING,
    None,
)


def _ending_with(phase: Phase) -> dict[Phase, Phase]:
    return dict.fromkeys(_EVERY, phase)


def _lasting(but: dict[Phase, Phase]) -> dict[Phase, Phase]:
    return {phase: but.get(phase, phase) for phase in _EVERY}


# What the time before each moment was, by the phase that was under way. A program that starts ends no phase of its own:
# what was under way lasts until then; where no node was waited for, it was prepared. What is over without the end of a
# program was to the last what was under way.
_BEFORE: tuple[dict[Phase, Phase], ...] = (
    _ending_with(Phase.QUEUED),
    _ending_with(Phase.QUEUED),
    _ending_with(Phase.SCHEDULING),
    _ending_with(Phase.PREPARING),
    _ending_with(Phase.FETCHING),
    _lasting({Phase.SCHEDULING: Phase.PREPARING}),
    _ending_with(Phase.RUNNING),
    _ending_with(Phase.STORING),
    _lasting({Phase.STORING: Phase.CONCLUDING}),
)
_STEPS = tuple(zip(_BEGINS, _BEFORE, strict=True))


def spans_of(times: Sequence[int], closed_at: int) -> list[tuple[Phase, int, int]]:
    """The values of Spans; none when no moment is known. `times` are those of TIMES, `closed_at` as of Life.

    Plain tuples, because a timeline makes them of 100,000 attempts.
    """
    found: list[tuple[Phase, int, int]] = []
    phase, start, since = Phase.QUEUED, 0, 0
    for at, (begins, before) in zip(times, _STEPS):  # noqa: B905 - strict costs a tenth, and both have nine
        if not at:
            continue
        if not start:
            start = since = at
        elif at > since:
            _add(found, before[phase], since, at)
            since = at
        if begins is None:
            break
        phase = begins
    else:
        if start and not closed_at:
            _add(found, phase, since, 0)
        elif start and closed_at > since:
            _add(found, _BEFORE[_ENDED][phase], since, closed_at)
    if start and not found:
        found.append((phase, start, since))
    return found


def _add(found: list[tuple[Phase, int, int]], phase: Phase, start: int, end: int) -> None:
    if found and found[-1][0] is phase:
        start = found.pop()[1]
    found.append((phase, start, end))


def lives_of(task: LeafTask, told: Sequence[Told], run_ended_at: int) -> list[Life]:
    """The attempts of a task by their number, which `told` is in the order of.

    Of a run that is older than the table of attempts nothing was told: it has one, made from the task's own times.
    `run_ended_at` is 0 while the run goes on.
    """
    told = told or _from_task(task)
    lives = []
    # When the attempt after it began: then it was over. The last one is over with its task, or with the run.
    over_at, last = (task.finished_at if task.state.terminal else run_ended_at), True
    for number, times in reversed(told):
        lives.append(Life(number, times, times[_ENDED] or over_at, last))
        over_at, last = next(filter(None, times), over_at), False
    return lives[::-1]


def _from_task(task: LeafTask) -> list[Told]:
    if task.kind is not TaskKind.CONTAINER or not task.attempt or task.phase == TaskPhase.CACHE_LOOKUP:
        return []
    terminal = task.state.terminal
    if task.state in (TaskState.CACHED, TaskState.SKIPPED, TaskState.OMITTED) or (terminal and not task.started_at):
        return []
    times = [0] * len(TIMES)
    times[_CREATED], times[_STARTED] = task.created_at, task.started_at
    times[_FINISHED] = times[_ENDED] = task.finished_at if terminal else 0
    return [Told(task.attempt, tuple(times))]


def shown(task: LeafTask, life: Life, row: AttemptRow) -> Attempt:
    """`row` is of the attempt that `life` is."""
    known = row.outcome is not AttemptOutcome.UNKNOWN
    closed_at = life.closed_at or (max(life.times) if known else 0)
    failure = row.outcome.value if row.outcome not in _NO_FAILURES else ""
    spans = [Span(*values) for values in spans_of(life.times, closed_at)]
    return Attempt(task.path, life.number, _state(task, life, row.outcome, closed_at), failure, spans, row)


_NO_FAILURES = (AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED, AttemptOutcome.CANCELED)
_STATES = {AttemptOutcome.SUCCEEDED: TaskState.SUCCEEDED, AttemptOutcome.CANCELED: TaskState.CANCELED}


def _state(task: LeafTask, life: Life, outcome: AttemptOutcome, closed_at: int) -> TaskState:
    if outcome is not AttemptOutcome.UNKNOWN:
        return _STATES.get(outcome, TaskState.FAILED)
    if not closed_at:
        return TaskState.RUNNING if any(life.times[_STARTED:_ENDED]) else TaskState.PENDING
    # The last one ended as its task did; a task that succeeded tried no more.
    return task.state if life.last and task.state in (TaskState.SUCCEEDED, TaskState.CANCELED) else TaskState.FAILED
