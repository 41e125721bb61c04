"""The phases of an attempt follow from the moments that executors told, whichever these are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.attempts import (
    TIMES,
    AttemptOutcome,
    AttemptRow,
    LeafTask,
    Phase,
    lives_of,
    moments_of,
    shown,
    spans_of,
)

ALL = dict(zip(TIMES, (10, 20, 30, 40, 50, 60, 70, 80, 90), strict=True))


def times(told: Mapping[str, int]) -> tuple[int, ...]:
    assert told.keys() <= set(TIMES)
    return tuple(told.get(name, 0) for name in TIMES)


def phases(closed_at: int = 0, **told: int) -> list[tuple[str, int, int]]:
    return [(span.phase.name, span.start, span.end) for span in spans_of(times(told), closed_at)]


def without(*names: str) -> list[tuple[str, int, int]]:
    return phases(90, **{name: at for name, at in ALL.items() if name not in names})


def test_every_phase_ends_with_its_moment() -> None:
    assert without() == [
        ("QUEUED", 10, 20),
        ("SCHEDULING", 20, 30),
        ("PREPARING", 30, 40),
        ("FETCHING", 40, 60),
        ("RUNNING", 60, 70),
        ("STORING", 70, 80),
        ("CONCLUDING", 80, 90),
    ]


def test_a_phase_whose_end_is_not_known_is_part_of_the_next() -> None:
    assert without("scheduled_at")[1] == ("PREPARING", 20, 40)
    assert without("placed_at", "scheduled_at")[0] == ("PREPARING", 10, 40)
    assert without("prepared_at")[2] == ("FETCHING", 30, 60)
    assert without("stored_at")[-1] == ("CONCLUDING", 70, 90)
    assert without("finished_at")[-2:] == [("STORING", 60, 80), ("CONCLUDING", 80, 90)]


def test_what_was_under_way_lasts_until_the_program_starts() -> None:
    assert phases(created_at=10, started_at=60) == [("QUEUED", 10, 60), ("RUNNING", 60, 0)]
    assert phases(created_at=10, placed_at=20, started_at=60)[1] == ("PREPARING", 20, 60)
    assert phases(created_at=10, placed_at=20, scheduled_at=30, started_at=60)[1:3] == [
        ("SCHEDULING", 20, 30),
        ("PREPARING", 30, 60),
    ]
    assert phases(created_at=10, prepared_at=40, started_at=60)[1] == ("FETCHING", 40, 60)


def test_an_attempt_that_goes_on_is_in_its_last_phase() -> None:
    last = {
        "created_at": "QUEUED",
        "placed_at": "SCHEDULING",
        "scheduled_at": "PREPARING",
        "prepared_at": "FETCHING",
        "fetched_at": "FETCHING",
        "started_at": "RUNNING",
        "finished_at": "STORING",
        "stored_at": "CONCLUDING",
    }
    told: dict[str, int] = {}
    for name, phase in last.items():
        told[name] = ALL[name]
        assert phases(**told)[-1] == (phase, 40 if name == "fetched_at" else ALL[name], 0)


def test_what_never_ran_was_to_the_last_what_was_under_way() -> None:
    assert phases(90, created_at=10, placed_at=20, ended_at=90) == [("QUEUED", 10, 20), ("SCHEDULING", 20, 90)]
    assert phases(90, created_at=10, started_at=60, ended_at=90)[-1] == ("RUNNING", 60, 90)
    assert phases(90, created_at=10) == [("QUEUED", 10, 90)]


def test_clocks_that_disagree_make_no_gaps() -> None:
    assert phases(90, created_at=10, placed_at=50, scheduled_at=30, prepared_at=40, started_at=60, ended_at=90) == [
        ("QUEUED", 10, 50),
        ("FETCHING", 50, 60),
        ("RUNNING", 60, 90),
    ]
    assert phases(5, created_at=10, started_at=60, ended_at=5) == [("QUEUED", 10, 60)]


def test_an_attempt_without_length_or_moments() -> None:
    assert phases(10, created_at=10, ended_at=10) == [("CONCLUDING", 10, 10)]
    assert phases(90) == phases() == []


moment = st.one_of(st.just(0), st.integers(1, 60))


@given(st.tuples(*[moment] * len(TIMES)), moment, st.integers(1, 60))
def test_spans_follow_one_another_without_gaps(told: tuple[int, ...], over_at: int, now: int) -> None:
    closed_at = told[-1] or over_at
    spans = spans_of(told, closed_at)
    if not any(told):
        assert spans == []
        return
    assert spans[0].start == next(at for at in told if at)
    for before, after in itertools.pairwise(spans):
        assert before.end == after.start
        assert before.phase < after.phase
    assert all(span.start < span.end for span in spans[:-1])
    assert (spans[-1].end == 0) is (closed_at == 0)
    moments = moments_of(told, closed_at, now)
    assert list(moments) == sorted(moments)
    assert len(moments) == len(Phase) + 1
    assert moments[0] == spans[0].start
    if closed_at:
        assert moments[-1] == spans[-1].end


def leaf(state: TaskState, **values: int) -> LeafTask:
    known = {"attempt": 0, "created_at": 0, "started_at": 0, "finished_at": 0, **values}
    return LeafTask("id", "t", "", TaskKind.CONTAINER, state, "", **known)


def test_an_attempt_ends_with_the_next_its_task_or_the_run() -> None:
    told = [(number, times({"created_at": 10 * number})) for number in (1, 2)]
    assert [life[2] for life in lives_of(leaf(TaskState.RUNNING), told, 0)] == [20, 0]
    assert [life[2] for life in lives_of(leaf(TaskState.FAILED, finished_at=40), told, 50)] == [20, 40]
    assert [life[2] for life in lives_of(leaf(TaskState.RUNNING), told, 50)] == [20, 50]
    assert lives_of(leaf(TaskState.RUNNING), [(1, times({"created_at": 10, "ended_at": 15})), told[1]], 0)[0][2] == 15


def test_a_task_of_which_nothing_was_told_has_one_attempt() -> None:
    ended = leaf(TaskState.SUCCEEDED, attempt=2, created_at=10, started_at=30, finished_at=50)
    [(number, told, closed_at, _)] = lives_of(ended, (), 0)
    assert number == 2
    assert [(span.phase, span.start, span.end) for span in spans_of(told, closed_at)] == [
        (Phase.QUEUED, 10, 30),
        (Phase.RUNNING, 30, 50),
    ]
    [(_, told, closed_at, _)] = lives_of(leaf(TaskState.RUNNING, attempt=1, created_at=10, started_at=30), (), 0)
    assert spans_of(told, closed_at)[-1] == (Phase.RUNNING, 30, 0)


@pytest.mark.parametrize(
    "task",
    [
        leaf(TaskState.CACHED, attempt=3, created_at=10, started_at=20, finished_at=20),
        leaf(TaskState.SKIPPED, created_at=10, finished_at=10),
        leaf(TaskState.OMITTED, attempt=3, created_at=10, finished_at=10),
        leaf(TaskState.PENDING, created_at=10),
        leaf(TaskState.PENDING, attempt=3, created_at=10)._replace(phase="cache lookup"),
        leaf(TaskState.FAILED, attempt=3, created_at=10, finished_at=10),
        leaf(TaskState.SUCCEEDED, attempt=1, created_at=10, started_at=10, finished_at=10)._replace(
            kind=TaskKind.IMPORTER
        ),
    ],
)
def test_what_was_not_tried_has_no_attempts(task: LeafTask) -> None:
    assert lives_of(task, (), 0) == []


def state_of(task: LeafTask, outcome: str = "", number: int = 0, **told: int) -> tuple[str, str]:
    """Of the first of two attempts, or of the last."""
    row = AttemptRow("r", "id", number + 1, outcome=AttemptOutcome(outcome))
    lives = lives_of(task, [(1, times(told)), (2, times(told))], 0)
    attempt = shown(task, lives[number], row)
    return attempt.state.value, attempt.failure


def test_states_and_whose_fault_a_failure_is() -> None:
    running, ended = leaf(TaskState.RUNNING), leaf(TaskState.SUCCEEDED, finished_at=9)
    assert state_of(running, number=1, created_at=1) == ("PENDING", "")
    assert state_of(running, number=1, created_at=1, started_at=2) == ("RUNNING", "")
    assert state_of(running, created_at=1, started_at=2) == ("FAILED", "")
    assert state_of(ended, number=1, created_at=1, started_at=2) == ("SUCCEEDED", "")
    assert state_of(ended, created_at=1, started_at=2) == ("FAILED", "")
    assert state_of(leaf(TaskState.CANCELED, finished_at=9), number=1, created_at=1) == ("CANCELED", "")
    assert state_of(running, "succeeded", created_at=1, ended_at=3) == ("SUCCEEDED", "")
    assert state_of(running, "canceled", created_at=1, ended_at=3) == ("CANCELED", "")
    for fault in ("user", "infrastructure", "configuration"):
        assert state_of(running, fault, number=1, created_at=1, ended_at=3) == ("FAILED", fault)


def test_an_attempt_with_an_outcome_is_over_though_its_end_was_not_told() -> None:
    task = leaf(TaskState.RUNNING)
    [life] = lives_of(task, [(1, times({"created_at": 10, "started_at": 20}))], 0)
    row = AttemptRow("r", "id", 1, outcome=AttemptOutcome.USER)
    assert [span.end for span in shown(task, life, row).spans] == [20]
