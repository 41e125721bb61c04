"""Threads that peers have in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from penstock_server.services.turns import Turns


class Work:
    """Blocks until it `may` go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.may.wait(60)


@pytest.fixture
def turns() -> Iterator[Turns]:
    made = Turns("test", 3, 2)
    yield made
    made.stop()


def begun(turns: Turns, peer: str) -> Work:
    work = Work()
    turns.take(peer, work)
    assert work.begun.wait(60)
    return work


def test_one_peer_leaves_a_thread_to_others(turns: Turns) -> None:
    first, second = begun(turns, "a"), begun(turns, "a")
    third = Work()
    turns.take("a", third)
    other = begun(turns, "b")
    assert not third.begun.is_set()
    assert turns.held_up("a")
    other.may.set()
    first.may.set()
    assert third.begun.wait(60)
    second.may.set()
    third.may.set()


def test_who_waits_for_nobody_holds_nobody_up(turns: Turns) -> None:
    works = [begun(turns, "a"), begun(turns, "a"), begun(turns, "b")]
    assert not turns.held_up("a")
    for work in works:
        work.may.set()


def test_peers_have_their_turn_one_after_another() -> None:
    turns = Turns("test", 1, 1)
    blocking = begun(turns, "x")
    done: list[str] = []
    all_done = threading.Event()

    def noting(what: str) -> Callable[[], None]:
        def work() -> None:
            done.append(what)
            if len(done) == 5:
                all_done.set()

        return work

    for what in ("a1", "a2", "a3", "b1", "c1"):
        turns.take(what[0], noting(what))
    assert turns.held_up("x")
    blocking.may.set()
    assert all_done.wait(60)
    assert done == ["a1", "b1", "c1", "a2", "a3"]
    turns.stop()


def test_work_that_fails_gives_its_thread_back(turns: Turns) -> None:
    def fails() -> None:
        raise ValueError

    for _ in range(20):
        turns.take("a", fails)
    begun(turns, "a").may.set()


def test_nothing_begins_after_the_end(turns: Turns) -> None:
    turns.stop()
    work = Work()
    turns.take("a", work)
    assert not work.begun.wait(0.1)
