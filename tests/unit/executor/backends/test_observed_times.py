"""Times of an attempt that a task could have made up."""

from __future__ import annotations

import logging

import pytest
from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.backends.observed_times import SKEW_MILLIS, attempt_times, begun, believable

NOW = 1_800_000_000_000
BEGAN = NOW - 3_600_000


@pytest.mark.parametrize("told", [BEGAN, BEGAN - SKEW_MILLIS, NOW, NOW + SKEW_MILLIS])
def test_what_can_be_true_is_taken(told: int, caplog: pytest.LogCaptureFixture) -> None:
    assert believable("its end", told, BEGAN, NOW, instead=7) == told
    assert not caplog.records


@pytest.mark.parametrize("told", [9 * 10**18, -(2**63), 10**400, 1, BEGAN - SKEW_MILLIS - 1, NOW + SKEW_MILLIS + 1])
def test_what_cannot_be_is_replaced_and_said(told: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert believable("its end", told, BEGAN, NOW, instead=7) == 7
    assert "its end is said to have been at" in caplog.text


def test_without_a_beginning_nothing_before_1970_counts() -> None:
    assert believable("its end", 5, 0, NOW, instead=7) == 5
    assert believable("its end", -1, 0, NOW, instead=7) == 7


@pytest.mark.parametrize(
    ("told", "seen", "expected"),
    [
        ((BEGAN + 5, BEGAN + 9), (BEGAN, BEGAN + 1000), (BEGAN + 5, BEGAN + 9)),
        ((9 * 10**18, 9 * 10**18), (BEGAN, BEGAN + 1000), (BEGAN, BEGAN + 1000)),
        ((0, 0), (BEGAN, 0), (BEGAN, NOW)),
        ((9 * 10**18, 0), (9 * 10**18, 0), (NOW, NOW)),
        ((BEGAN + 9, BEGAN + 5), (0, 0), (BEGAN + 9, BEGAN + 9)),
    ],
)
def test_the_wrapper_then_the_container_then_now(
    told: tuple[int, int], seen: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert attempt_times("p", told, seen, BEGAN, NOW) == expected


def test_what_comes_between_inputs_and_start_is_preparation() -> None:
    times = AttemptTimes(placed=BEGAN, prepared=BEGAN + 20, fetched=BEGAN + 30)
    assert begun(times, BEGAN + 100) == AttemptTimes(placed=BEGAN, prepared=BEGAN + 90, fetched=BEGAN + 100)
    assert begun(AttemptTimes(placed=BEGAN, prepared=BEGAN + 20), BEGAN + 100).prepared == BEGAN + 100
    assert begun(times, BEGAN + 29) == times, "its clock went back"
    assert begun(NO_TIMES, BEGAN) == NO_TIMES, "somebody else prepared it"
