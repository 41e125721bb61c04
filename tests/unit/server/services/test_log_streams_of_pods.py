"""Logs that come from Pods themselves, those that tasks share among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.task_rows import TaskState
from penstock_server.domain.attempts import AttemptRow
from penstock_server.domain.task import task_id_of
from penstock_server.errors import InvalidArgumentError, UnavailableError

from tests.support.log_streams import FOLLOW, URI, Pods, Reader, World, log_world, opened


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with log_world(tmp_path) as made:
        yield made


@pytest.fixture
def pods(world: World) -> Pods:
    made = Pods()
    world.streams(world.store, made)
    return made


def test_the_log_of_a_pod_comes_from_itself_and_is_not_read_again_from_the_store(world: World, pods: Pods) -> None:
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    world.task(TaskState.PENDING, "", pod="p1")
    for _ in range(3):
        world.tick()
    pods.present.add("p1")
    said = opened(world, reader, pods, "p1")
    world.task(TaskState.RUNNING, pod="p1")
    said.says(b"one\n")
    world.got(reader, b"one\n")
    said.says(b"two\n")
    said.ends()
    world.got(reader, b"one\ntwo\n")
    world.store.objects[URI] = b"one\ntwo\n"
    world.tick()
    assert not reader.ended
    world.task(TaskState.SUCCEEDED, pod="p1")
    assert world.end(reader) is None
    assert reader.got == b"one\ntwo\n"
    assert said.closed


def test_the_next_attempt_has_another_pod(world: World, pods: Pods) -> None:
    pods.present |= {"p1", "p2"}
    world.task(TaskState.RUNNING, pod="p1")
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    first = opened(world, reader, pods, "p1")
    world.store.objects[URI] = b"first\n"
    world.task(TaskState.PENDING, pod="p2", attempt=2)
    world.tick()
    first.says(b"first\n")
    first.ends()
    second = opened(world, reader, pods, "p2")
    second.says(b"second\n")
    second.ends()
    world.got(reader, b"first\nsecond\n")
    world.store.objects["file:///logs/2"] = b"second\n"
    world.task(TaskState.SUCCEEDED, "file:///logs/2", pod="p2", attempt=2)
    assert world.end(reader) is None
    assert reader.got == b"first\nsecond\n"


def test_an_archived_log_is_read_from_the_store(world: World, pods: Pods) -> None:
    pods.present.add("p1")
    world.store.objects[URI] = b"archived\n"
    world.task(TaskState.SUCCEEDED, pod="p1")
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    assert world.end(reader) is None
    assert reader.got == b"archived\n"
    assert not pods.opened


def test_a_local_task_beside_pods_is_read_from_its_file(world: World, pods: Pods) -> None:
    world.store.objects[URI] = b"said\n"
    world.task(TaskState.RUNNING, pod="no-pod")
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    world.got(reader, b"said\n")
    world.store.objects[URI] = b"said\nmore\n"
    world.task(TaskState.SUCCEEDED, pod="no-pod")
    assert world.end(reader) is None
    assert reader.got == b"said\nmore\n"


def test_a_pod_whose_log_breaks_off_ends_the_stream_with_an_error(world: World, pods: Pods) -> None:
    pods.present.add("p1")
    world.task(TaskState.RUNNING, pod="p1")
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    said = opened(world, reader, pods, "p1")
    said.says(b"one\n")
    said.ends(UnavailableError("it broke off"))
    assert str(world.end(reader)) == "it broke off"
    assert reader.got == b"one\n"


def test_who_goes_away_closes_the_stream_of_the_pod(world: World, pods: Pods) -> None:
    pods.present.add("p1")
    world.task(TaskState.RUNNING, pod="p1")
    reader = Reader()
    close = world.logs.open(FOLLOW, reader)
    said = opened(world, reader, pods, "p1")
    close()
    assert said.closed


def runs_in_worker(world: World, path: str, mark: str, attempt: int = 1) -> None:
    """As an executor reports it: the rows of task and attempt at once."""
    row = AttemptRow("r1", task_id_of("r1", path), attempt, 1_000, 2_000, pod_name="w", log_mark=mark)
    with world.database.writing() as uow:
        uow.attempts.merge_many([row])
    world.task(TaskState.RUNNING, "", path, attempt, pod="w")


def test_tasks_that_share_a_pod_have_their_own_lines_each(world: World, pods: Pods) -> None:
    """Also when the task had not begun, as its Pod's name was another until it was known where it runs."""
    reader, other = Reader(), Reader("b")
    world.logs.open(FOLLOW, reader)
    world.task(TaskState.PENDING, "", pod="a-pod-of-its-own")
    world.tick()
    pods.present.add("w")
    runs_in_worker(world, "a", "m1")
    first = opened(world, reader, pods, "w")
    runs_in_worker(world, "b", "m2")
    world.logs.open(replace(FOLLOW, node_id="b"), other)
    world.until(other, lambda: pods.opened["w"] is not first)
    assert [(part.pod, part.mark, part.since) for part in pods.asked[-2:]] == [("w", "m1", 1_000), ("w", "m2", 1_000)]
    said = b"".join(
        b"\n::penstock-attempt m%d begin\nof %d\n\n::penstock-attempt m%d end\n" % ((n,) * 3) for n in (1, 2)
    )
    first.says(said)
    world.got(reader, b"of 1\n")
    assert first.closed, "what follows is of others"
    pods.opened["w"].says(said)
    world.got(other, b"of 2\n")


def test_the_next_attempt_may_run_in_the_same_pod(world: World, pods: Pods) -> None:
    pods.present.add("w")
    runs_in_worker(world, "a", "m1")
    reader = Reader()
    world.logs.open(FOLLOW, reader)
    first = opened(world, reader, pods, "w")
    first.says(b"\n::penstock-attempt m1 begin\nfirst\n\n::penstock-attempt m1 end\n")
    world.got(reader, b"first\n")
    runs_in_worker(world, "a", "m2", attempt=2)
    world.until(reader, lambda: pods.opened["w"] is not first)
    pods.opened["w"].says(b"\n::penstock-attempt m2 begin\nsecond\n")
    world.got(reader, b"first\nsecond\n")


def test_the_name_of_a_pod_that_several_tasks_have_names_none(world: World, pods: Pods) -> None:
    runs_in_worker(world, "a", "m1")
    by_pod = replace(FOLLOW, node_id="w")
    world.logs.open(by_pod, Reader())()
    runs_in_worker(world, "b", "m2")
    for request in (by_pod, replace(by_pod, run_id="")):
        with pytest.raises(InvalidArgumentError, match="several tasks"):
            world.logs.open(request, Reader())
