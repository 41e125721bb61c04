"""Token buckets by name, on a clock that the tests move."""

from __future__ import annotations

import threading

import pytest
from penstock_server.domain.budgets import Budgets


class Timer:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


def taken(budgets: Budgets, name: str, tries: int) -> int:
    return sum(budgets.take(name) == 0 for _ in range(tries))


@pytest.mark.parametrize(("rate", "size"), [(1, 1), (3, 7), (10, 100), (0.5, 2)])
def test_a_bucket_at_once_and_then_the_rate(timer: Timer, rate: float, size: int) -> None:
    budgets = Budgets(rate, size, timer=timer)
    assert taken(budgets, "alice", 10 * size) == size
    given = 0
    for _ in range(1000):
        timer.now += 0.1
        given += taken(budgets, "alice", 3)
    assert given == pytest.approx(100 * rate, abs=1)


def test_who_waits_as_long_as_is_said_is_served_and_not_before(timer: Timer) -> None:
    budgets = Budgets(4, 8, timer=timer)
    assert taken(budgets, "alice", 8) == 8
    wait = budgets.take("alice")
    assert wait == pytest.approx(0.25)
    timer.now += wait - 0.001
    assert budgets.take("alice") > 0
    timer.now += 0.001
    assert budgets.take("alice") == 0


def test_a_bucket_gets_no_fuller_than_full(timer: Timer) -> None:
    budgets = Budgets(10, 20, timer=timer)
    assert taken(budgets, "alice", 20) == 20
    timer.now += 1_000_000
    assert taken(budgets, "alice", 100) == 20


def test_what_is_refused_costs_nothing(timer: Timer) -> None:
    budgets = Budgets(1, 1, timer=timer)
    assert budgets.take("alice") == 0
    assert taken(budgets, "alice", 1000) == 0
    timer.now += 1
    assert budgets.take("alice") == 0


def test_one_name_takes_nothing_of_another(timer: Timer) -> None:
    budgets = Budgets(1, 5, timer=timer)
    assert taken(budgets, "alice", 1000) == 5
    assert taken(budgets, "bob", 1000) == 5


def test_more_than_is_left_is_taken_once_and_owed(timer: Timer) -> None:
    budgets = Budgets(10, 100, timer=timer)
    assert budgets.take("alice", 1000) == 0
    assert budgets.take("alice", 1) == pytest.approx(90.1)
    timer.now += 90.1
    assert budgets.take("alice", 1) == 0


def test_names_are_bounded_and_the_one_used_last_is_kept(timer: Timer) -> None:
    budgets = Budgets(1, 1, names=100, timer=timer)
    for number in range(100_000):
        budgets.take("alice")
        budgets.take(f"stranger {number}")
    assert len(budgets) == 100
    assert budgets.take("alice") > 0


def test_threads_together_take_no_more_than_one_would(timer: Timer) -> None:
    budgets = Budgets(1, 1000, timer=timer)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(taken(budgets, "alice", 500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1000
