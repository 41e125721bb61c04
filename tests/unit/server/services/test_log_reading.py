"""What comes next of a log, from what was seen: without threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.explanation import Explanation
from penstock_server.domain.log_parts import LogPart
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError
from penstock_server.services.log_reading import CUT_SHORT, NO_BEGIN, LogReading
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
        self.asked: list[LogPart] = []

    def log(self, namespace: str, part: LogPart, *, follow: bool, when_more: Callable[[], None]) -> PodLog:
        self.asked.append(part)
        return PodLog(self.says.get(part.pod))


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


def mark(what: bytes, of: bytes = b"m1") -> bytes:
    return b"\n::penstock-attempt %b %b\n" % (of, what)


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


WORKER = LogPart("w", "m1", 5)


def test_of_a_log_that_many_write_the_own_part_is_given_and_then_it_is_over(store: Store) -> None:
    pods = Pods()
    pods.says["w"] = [b"secret\n", mark(b"begin"), b"", b"own\n", mark(b"end") + mark(b"begin", b"m2") + b"secret\n"]
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"own\n"
    assert pods.asked == [WORKER]
    assert not reading.waits
    store.objects[FIRST] = b"own\n"
    source.told(task(TaskState.SUCCEEDED, FIRST, "w"), WORKER, run_ended=False)
    source.look({reading.uri})
    assert reading.next_piece() is None, "it is not read again from the store"


def test_two_attempts_in_one_pod_are_two_logs(store: Store) -> None:
    pods = Pods()
    said = [mark(b"begin") + b"first\n" + mark(b"end"), mark(b"begin", b"m2") + b"second\n" + mark(b"end", b"m2")]
    pods.says["w"] = [*said[:1]]
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, "", "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"first\n"
    pods.says["w"] = [*said]
    source.told(task(TaskState.RUNNING, "", "w"), LogPart("w", "m2"), run_ended=False)
    source.look(())
    assert rest(reading) == b"second\n"


@pytest.mark.parametrize("follow", [True, False])
def test_a_log_whose_begin_mark_was_rotated_away_has_a_note_until_it_is_stored(store: Store, follow: bool) -> None:
    pods = Pods()
    pods.says["w"] = [b"secret or own\n", mark(b"end") if follow else None]
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods, follow=follow)
    source.look(())
    assert rest(reading) == NO_BEGIN
    if not follow:
        assert reading.next_piece() is None
        return
    store.objects[FIRST] = b"all of it\n"
    source.told(task(TaskState.SUCCEEDED, FIRST, "w"), WORKER, run_ended=False)
    source.look({reading.uri})
    assert rest(reading) == b"all of it\n"
    assert reading.next_piece() is None


def test_a_begin_mark_is_not_waited_for_for_ever(store: Store) -> None:
    pods = Pods()
    pods.says["w"] = [b"secret\n" * 1000] * 100
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b""
    for _ in range(19):
        source.look(())
        assert reading.waits
        assert reading.next_piece() == b""
    source.look(())
    assert reading.next_piece() == NO_BEGIN
    assert rest(reading) == b""
    assert not reading.waits


def test_an_attempt_that_says_nothing_for_long_goes_on(store: Store) -> None:
    pods = Pods()
    said: list[bytes | None] = [mark(b"begin") + b"own\n"]
    pods.says["w"] = said
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"own\n"
    for _ in range(100):
        source.look(())
        assert reading.next_piece() == b""
    said.append(b"more\n")
    assert reading.next_piece() == b"more\n"


def test_a_lost_end_mark_is_not_waited_for_once_the_attempt_is_over(store: Store) -> None:
    """What follows may be another attempt's."""
    pods = Pods()
    pods.says["w"] = [mark(b"begin") + b"own\n\n"]
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"own\n"
    source.told(task(TaskState.SUCCEEDED, FIRST, "w"), WORKER, run_ended=False)
    got: list[bytes | None] = []
    while not got or got[-1] is not None:
        source.look(())
        got.append(reading.next_piece())
        assert len(got) < 20
    assert b"".join(filter(None, got)) == b"\n"


def test_the_lines_of_the_next_attempt_are_announced_and_not_shown(store: Store) -> None:
    pods = Pods()
    pods.says["w"] = [mark(b"begin") + b"own\n" + mark(b"begin", b"m2") + b"secret\n", b"secret\n"]
    source = LogSource(run("r1"), "a", lambda namespace: store, Segments(), task(TaskState.RUNNING, FIRST, "w"), WORKER)
    reading = reading_of(source, pods)
    source.look(())
    assert rest(reading) == b"own\n" + CUT_SHORT
