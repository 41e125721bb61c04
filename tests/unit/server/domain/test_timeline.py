"""Bins of a timeline hold exactly the time that attempts spent; what 100,000 attempts cost."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.attempts import TIMES, LeafTask, Phase, Told, spans_of
from penstock_server.domain.timeline import TimelineRequest, binned, bounds, placed
from penstock_server.errors import InvalidArgumentError

moment = st.one_of(st.just(0), st.integers(1, 300))
attempts = st.lists(st.tuples(*[moment] * len(TIMES)), max_size=8)


def leaf(path: str) -> LeafTask:
    return LeafTask(path, path, "", TaskKind.CONTAINER, TaskState.RUNNING, "", 1, 0, 0, 0)


def tasks(told: list[tuple[int, ...]]) -> list[tuple[LeafTask, list[Told]]]:
    return [(leaf(f"group/t{number}"), [(1, times)]) for number, times in enumerate(told)]


@given(attempts, st.integers(1, 40), moment, moment, st.integers(300, 400))
def test_the_sum_over_bins_is_the_time_that_was_spent(
    told: list[tuple[int, ...]], most: int, begin: int, end: int, now: int
) -> None:
    request = TimelineRequest("r", start=min(begin, end), end=max(begin, end), max_bins=most)
    _, found = placed(tasks(told), request, 0, now)
    start, end = bounds(found, request)
    if not found:
        assert (start, end) == (0, 0)
        return
    bins = binned([moments for moments, _, _ in found], start, end, most)
    assert 1 <= len(bins) <= most
    assert bins[0].start == start
    length = bins[1].start - start if len(bins) > 1 else max(1, end - start)
    assert all(after.start - before.start == length for before, after in itertools.pairwise(bins))
    assert start + len(bins) * length >= end
    for phase in Phase:
        spent = 0
        for times in told:
            for span in spans_of(times, times[-1]):
                if span.phase is phase:
                    spent += max(0, min(span.end or now, end) - max(span.start, start))
        assert sum(one.attempts.get(phase, 0) for one in bins) * length == pytest.approx(spent, abs=1e-6)
    assert all(number > 0 for one in bins for number in one.attempts.values())


def test_only_tasks_below_the_parent_and_only_what_touches_the_time() -> None:
    told = [(number, (number, 0, 0, 0, 0, 0, 0, 0, number + 10)) for number in (100, 200)]
    given_tasks = [(leaf(path), [one]) for path in ("a/x", "ab/x", "a/b[0]/x", "a") for one in told]

    def found(**asked: str | int) -> list[tuple[str, int]]:
        _, attempts_found = placed(given_tasks, TimelineRequest("r", **asked), 0, 1000)  # type: ignore[arg-type]
        return [(task.path, moments[0]) for moments, task, _ in attempts_found]

    assert found(parent_path="a") == [("a/x", 100), ("a/x", 200), ("a/b[0]/x", 100), ("a/b[0]/x", 200)]
    assert {at for _, at in found(start=110, end=199)} == {100}
    assert {at for _, at in found(start=111)} == {200}
    assert {at for _, at in found(end=200)} == {100, 200}
    assert found(start=111, end=199) == []


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("max_attempts", TimelineRequest("r", max_attempts=-1)),
        ("max_attempts", TimelineRequest("r", max_attempts=5001)),
        ("max_bins", TimelineRequest("r", max_bins=-1)),
        ("max_bins", TimelineRequest("r", max_bins=1001)),
        ("to", TimelineRequest("r", start=2, end=1)),
    ],
)
def test_what_is_asked_for_is_bounded(field: str, request_: TimelineRequest) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        request_.check()
    assert caught.value.field == field


def test_a_hundred_thousand_attempts_are_counted_in_little_time() -> None:
    """Half a second on a machine that does nothing else; a loop over bins for every attempt takes a minute."""
    told = [(number, *(number + 10 * step for step in range(1, 9))) for number in range(1, 100_001)]
    given_tasks = tasks(told)
    began = time.process_time()
    _, found = placed(given_tasks, TimelineRequest("r"), 0, 10**9)
    bins = binned([moments for moments, _, _ in found], *bounds(found, TimelineRequest("r")), 1000)
    assert time.process_time() - began < 5
    assert 900 < len(bins) <= 1000
