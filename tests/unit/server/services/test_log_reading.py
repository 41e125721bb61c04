"""What comes next of a log, from what was seen: without threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.explanation import Explanation
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError
from penstock_server.services.log_reading import LogReading
from penstock_server.services.log_source import LogSource, Segments

from tests.support.rows import run

FIRST, SECOND = "file:///logs/1", "file:///logs/2"


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def size(self, uri: str) -> int:
        if uri not in self.objects:
            raise NotFoundError("Object", uri)
        return len(self.objects[uri])

    def part(self, uri: str, offset: int, length: int) -> bytes:
        return self.objects[uri][offset : offset + length]


class Pods:
    """What each Pod says; one that is not there has not begun."""

    def __init__(self) -> None:
        self.says: dict[str, list[bytes | None]] = {}

    def log(self, namespace: str, name: str, *, follow: bool, when_more: Callable[[], None]) -> PodLog:
        return PodLog(self.says.get(name))


class PodLog:
    def __init__(self, says: list[bytes | None] | None) -> None:
        self._says = says

    def take(self) -> bytes | None:
        if self._says is None:
            raise NotFoundError("Pod", "pod")
        return self._says.pop(0) if self._says else b""

    def close(self) -> None:
        pass


def task(state: TaskState, uri: str, pod: str = "") -> Task:
    return Task("r1", "a", "a", TaskKind.CONTAINER, state, pod_name=pod, log_uri=uri)


def reading_of(source: LogSource, pods: Pods | None = None, *, follow: bool = True, tail_bytes: int = 0) -> LogReading:
    def explain(run_id: str, path: str) -> Explanation:
        return Explanation(path, "", "waits")

    return LogReading(source, explain, pods, lambda: None, follow=follow, tail_bytes=tail_bytes)


def source_of(store: Store, now: Task) -> LogSource:
    return LogSource(run("r1"), "a", lambda namespace: store, Segments(), now)


def rest(reading: LogReading) -> bytes:
    """All that comes without another look."""
    got = b""
    empty = 0
    # A Pod that was asked for may say something at the second time.
    while empty < 3:
        piece = reading.next_piece()
        got += piece or b""
        empty = 0 if piece else empty + 1
    return got


@pytest.fixture
def store() -> Store:
    return Store()


def test_what_was_seen_before_a_reader_came_is_not_all_there_is(store: Store) -> None:
    store.objects[FIRST] = b"one\n"
    source = source_of(store, task(TaskState.RUNNING, FIRST))
    source.look(())
    store.objects[FIRST] = b"one\ntwo\n"
    reading = reading_of(source, follow=False)
    assert reading.next_piece() == b""
    assert reading.waits
    source.look(())
    assert reading.next_piece() == b"one\ntwo\n"
    assert reading.next_piece() is None


def test_the_log_that_a_pod_gave_is_not_read_again_while_the_next_one_has_not_begun(store: Store) -> None:
    """The task's URI stays that of the attempt before until the next one begins."""
    pods = Pods()
    pods.says["p1"] = [b"first\n", None]
    source = source_of(store, task(TaskState.RUNNING, "", "p1"))
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"first\n"
    store.objects[FIRST] = b"first\n"
    source.told(task(TaskState.PENDING, FIRST, "p2"), run_ended=False)
    source.look(())
    assert rest(reading) == b""
    pods.says["p2"] = [b"second\n", None]
    source.told(task(TaskState.RUNNING, SECOND, "p2"), run_ended=False)
    source.look(())
    assert rest(reading) == b"second\n"
    store.objects[SECOND] = b"second\n"
    source.told(task(TaskState.SUCCEEDED, SECOND, "p2"), run_ended=False)
    source.look({reading.uri})
    assert reading.next_piece() is None


def test_an_archived_attempt_that_nobody_saw_as_a_pod_follows_the_one_before(store: Store) -> None:
    pods = Pods()
    pods.says["p1"] = [b"first\n", None]
    source = source_of(store, task(TaskState.RUNNING, FIRST, "p1"))
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"first\n"
    store.objects |= {FIRST: b"first\n", SECOND: b"second\n"}
    source.told(task(TaskState.SUCCEEDED, SECOND, "p2"), run_ended=False)
    source.look({reading.uri})
    assert rest(reading) == b"second\n"
    assert reading.next_piece() is None


def test_a_log_that_goes_away_while_it_is_read_is_no_whole_one(store: Store) -> None:
    store.objects[FIRST] = b"one\n"
    source = source_of(store, task(TaskState.RUNNING, FIRST))
    reading = reading_of(source)
    source.look(())
    assert rest(reading) == b"one\n"
    del store.objects[FIRST]
    source.look({reading.uri})
    assert rest(reading) == b""
    source.told(task(TaskState.SUCCEEDED, FIRST), run_ended=False)
    source.look({reading.uri})
    with pytest.raises(NotFoundError):
        reading.next_piece()


def test_a_run_that_ended_ends_the_logs_of_tasks_that_never_did(store: Store) -> None:
    store.objects[FIRST] = b"one\n"
    source = source_of(store, task(TaskState.RUNNING, FIRST))
    reading = reading_of(source)
    source.told(None, run_ended=True)
    source.look(())
    assert rest(reading) == b"one\n"
    assert reading.next_piece() is None


@pytest.mark.parametrize(("tail_bytes", "comes"), [(0, b"abcdef"), (2, b"ef"), (100, b"abcdef")])
def test_the_end_of_a_log(store: Store, tail_bytes: int, comes: bytes) -> None:
    store.objects[FIRST] = b"abcdef"
    source = source_of(store, task(TaskState.SUCCEEDED, FIRST))
    reading = reading_of(source, tail_bytes=tail_bytes)
    source.look(())
    assert rest(reading) == comes
