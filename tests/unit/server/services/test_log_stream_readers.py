"""Readers of logs that take nothing, go away or ask for what is not there, and servers that stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.task_rows import TaskState
from penstock_server.errors import InvalidArgumentError, NotFoundError, UnavailableError
from penstock_server.services.log_tasks import LogRequest

from tests.support.log_streams import FOLLOW, SHARE, URI, Reader, Store, World, log_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with log_world(tmp_path) as made:
        yield made


def test_who_takes_nothing_gets_it_later(world: World) -> None:
    world.store.objects[URI] = bytes(1 << 20) + b"end"
    world.task(TaskState.SUCCEEDED)
    reader, other = Reader(), Reader()
    reader.takes = False
    world.logs.open(FOLLOW, reader)
    world.logs.open(FOLLOW, other)
    assert world.end(other) is None
    world.tick()
    assert not reader.got
    assert not reader.ended
    reader.takes_again()
    assert world.end(reader) is None
    assert reader.got == other.got == world.store.objects[URI]


def test_who_blocks_holds_up_its_own_peer_alone_and_loses_its_stream_when_another_needs_the_thread(
    world: World,
) -> None:
    world.store.objects[URI] = b"said\n"
    world.task(TaskState.RUNNING)
    stuck = [Reader("stuck") for _ in range(SHARE)]
    for reader in stuck:
        reader.stuck = True
        world.logs.open(FOLLOW, reader)
    for reader in stuck:
        assert reader.entered.wait(60)
    other = Reader("other")
    world.logs.open(FOLLOW, other)
    world.got(other, b"said\n")
    for _ in range(20):
        world.tick()
    # Nobody waits for its threads, so they keep them.
    assert not any(reader.abandoned.is_set() for reader in stuck)
    waiting = Reader("stuck")
    world.logs.open(FOLLOW, waiting)
    world.got(waiting, b"said\n")
    assert any(reader.abandoned.is_set() for reader in stuck)
    for reader in stuck:
        reader.abandon()


def test_a_server_that_stops_ends_streams_and_opens_none(world: World) -> None:
    world.task(TaskState.RUNNING)
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    world.logs.stop()
    assert isinstance(reader.ended[0], UnavailableError)
    with pytest.raises(UnavailableError):
        world.logs.open(FOLLOW, Reader())


def test_who_goes_away_hears_nothing_more_and_leaves_nothing(world: World) -> None:
    world.task(TaskState.RUNNING)
    world.store.objects[URI] = b"said\n"
    gone, other = Reader("a"), Reader("b")
    close = world.logs.open(FOLLOW, gone)
    close_other = world.logs.open(FOLLOW, other)
    world.got(gone, b"said\n")
    close()
    world.store.objects[URI] = b"said\nmore\n"
    world.got(other, b"said\nmore\n")
    assert (gone.got, gone.ended, len(world.logs)) == (b"said\n", [], 1)
    close_other()
    assert (len(world.logs), world.logs._logs) == (0, {})


def test_what_is_wrong_is_refused_before_the_stream_begins(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="tail_bytes"):
        world.logs.open(replace(FOLLOW, tail_bytes=-1), Reader())
    with pytest.raises(NotFoundError, match="Run"):
        world.logs.open(replace(FOLLOW, run_id="r2"), Reader())
    with pytest.raises(NotFoundError, match="Task"):
        world.logs.open(LogRequest("", "no-pod", follow=True), Reader())


def test_a_log_that_was_deleted_is_not_found(world: World) -> None:
    world.task(TaskState.SUCCEEDED)
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    assert isinstance(world.end(reader), NotFoundError)
    assert reader.got == b""


def test_a_run_that_is_deleted_ends_what_is_followed(world: World) -> None:
    world.task(TaskState.RUNNING)
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    with world.database.writing() as uow:
        uow.runs.delete("r1")
    assert isinstance(world.end(reader), NotFoundError)


def test_a_store_that_does_not_answer_ends_the_stream_with_the_reason(world: World) -> None:
    class Broken(Store):
        def size(self, uri: str) -> int:
            raise UnavailableError("the store is away")

    world.streams(Broken())
    world.task(TaskState.RUNNING)
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    assert str(world.end(reader)) == "the store is away"
