"""What those get who read logs, followed or not, from the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.task_rows import TaskState
from penstock_server.domain.task import task_id_of
from penstock_server.storage.objects import StoredObjects
from penstock_store.files import FileArtifactStore, uri_of

from tests.support.log_streams import FOLLOW, URI, Reader, World, log_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with log_world(tmp_path) as made:
        yield made


def test_what_is_written_comes_once_in_order_and_the_end_with_the_task(world: World) -> None:
    world.task(TaskState.RUNNING)
    readers = [Reader(str(number)) for number in range(20)]
    for reader in readers:
        world.logs.open(FOLLOW, reader)
    content = b""
    for number in range(5):
        content += f"line {number}\n".encode()
        world.store.objects[URI] = content
        for reader in readers:
            world.got(reader, content)
    late = Reader("late")
    world.logs.open(FOLLOW, late)
    world.got(late, content)
    world.store.objects[URI] = content = content + b"last"
    world.task(TaskState.SUCCEEDED)
    for reader in (*readers, late):
        assert world.end(reader) is None
        assert reader.got == content
    assert len(world.logs) == 0


def test_a_large_log_comes_whole_to_all(world: World) -> None:
    content = bytes(range(256)) * 14_001
    world.store.objects[URI] = content
    world.task(TaskState.SUCCEEDED)
    readers = [Reader(str(number)) for number in range(5)]
    for reader in readers:
        world.logs.open(FOLLOW, reader)
    for reader in readers:
        assert world.end(reader) is None
        assert reader.got == content


def test_what_several_want_is_read_once(world: World) -> None:
    world.task(TaskState.RUNNING)
    readers = [Reader(str(number)) for number in range(50)]
    for reader in readers:
        world.logs.open(FOLLOW, reader)
    world.store.objects[URI] = b"said\n"
    for reader in readers:
        world.got(reader, b"said\n")
    assert world.store.asked["part"] == 1
    before = world.store.asked["size"]
    for _ in range(10):
        world.tick()
    assert world.store.asked["size"] - before <= 10


def test_a_silent_log_is_looked_at_less_often(world: World) -> None:
    world.task(TaskState.RUNNING)
    world.store.objects[URI] = b"said\n"
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    world.got(reader, b"said\n")
    world.clock.now += 60
    world.tick()
    world.until(reader, lambda: next(iter(world.logs._logs.values())).due_at > world.clock.now)
    before = world.store.asked["size"]
    for _ in range(10):
        world.clock.now += 0.05
        world.logs.look()
    assert world.store.asked["size"] == before


def test_it_waits_for_a_task_that_has_not_begun(world: World) -> None:
    by_path, by_id = Reader("path"), Reader("id")
    world.logs.open(FOLLOW, by_path)
    world.logs.open(replace(FOLLOW, node_id=task_id_of("r1", "a")), by_id)
    by_pod = Reader("pod")
    world.logs.open(replace(FOLLOW, node_id="pod-1"), by_pod)
    world.tick()
    world.task(TaskState.PENDING, "", pod="pod-1")
    world.tick()
    world.task(TaskState.RUNNING, pod="pod-1")
    world.tick()
    assert not by_path.got
    world.store.objects[URI] = b"said\n"
    world.task(TaskState.SUCCEEDED, pod="pod-1")
    for reader in (by_path, by_id, by_pod):
        assert world.end(reader) is None
        assert reader.got == b"said\n"


def test_a_task_that_never_comes_has_a_sentence(world: World) -> None:
    reader, at_once = Reader("a"), Reader("b")
    world.logs.open(FOLLOW, reader)
    world.logs.open(replace(FOLLOW, follow=False), at_once)
    assert world.end(at_once) is None
    assert at_once.got == b"Task 'a' has no log yet: waits for something.\n"
    assert not reader.ended
    world.run_ends()
    assert world.end(reader) is None
    assert reader.got == at_once.got


def test_a_log_that_is_not_followed_is_what_there_is_now(world: World) -> None:
    world.task(TaskState.RUNNING)
    world.store.objects[URI] = b"one\n"
    follower = Reader("follower")
    world.logs.open(FOLLOW, follower)
    world.got(follower, b"one\n")
    # What the look for another reader found is too old.
    world.store.objects[URI] = b"one\ntwo\n"
    reader = Reader("b")
    world.logs.open(replace(FOLLOW, follow=False), reader)
    assert world.end(reader) is None
    assert reader.got == b"one\ntwo\n"


def test_a_retried_task_goes_on_with_the_log_of_its_next_attempt(world: World) -> None:
    world.task(TaskState.RUNNING)
    world.store.objects[URI] = b"first"
    reader = Reader()
    world.logs.open(replace(FOLLOW, tail_bytes=3), reader)
    world.got(reader, b"rst")
    # The end of the first attempt's log is there no sooner than the second attempt.
    world.store.objects[URI] = b"first, the end\n"
    world.store.objects["file:///logs/2"] = b"second\n"
    world.task(TaskState.PENDING, attempt=2)
    world.tick()
    world.task(TaskState.RUNNING, "file:///logs/2", attempt=2)
    world.got(reader, b"rst, the end\nsecond\n")
    world.task(TaskState.FAILED, "file:///logs/2", attempt=2)
    assert world.end(reader) is None
    assert reader.got == b"rst, the end\nsecond\n"


def test_a_log_that_became_shorter_begins_anew(world: World) -> None:
    world.task(TaskState.RUNNING)
    world.store.objects[URI] = b"a long beginning\n"
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    world.got(reader, b"a long beginning\n")
    world.store.objects[URI] = b"anew\n"
    world.got(reader, b"a long beginning\nanew\n")
    world.store.objects[URI] = b"anew\nand on\n"
    world.task(TaskState.SUCCEEDED)
    assert world.end(reader) is None
    assert reader.got == b"a long beginning\nanew\nand on\n"


def test_the_end_of_two_gigabytes_is_read_alone(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log"
    end = b"\xff\xfe broken \x80 text\n"
    with path.open("wb") as file:
        file.truncate(2 << 30)
        file.seek(0, 2)
        file.write(end)
    world.streams(StoredObjects(FileArtifactStore(tmp_path)))
    world.task(TaskState.RUNNING, uri_of(path))
    reader = Reader()
    world.logs.open(replace(FOLLOW, tail_bytes=len(end) + 2), reader)
    world.got(reader, b"\0\0" + end)
    with path.open("ab") as file:
        file.write(b"\xe2\x82")
    world.got(reader, b"\0\0" + end + b"\xe2\x82")
    world.task(TaskState.SUCCEEDED, uri_of(path))
    assert world.end(reader) is None
