"""Logs by a clock that is set by hand, a store in memory and readers that take what they like."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.attempts import AttemptRow
from penstock_server.domain.dispatch import LogEnd
from penstock_server.domain.explanation import Explanation
from penstock_server.domain.log_parts import LogPart
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Task, task_id_of
from penstock_server.errors import InvalidArgumentError, NotFoundError, PenstockError, UnavailableError
from penstock_server.services.log_reading import PodLogs
from penstock_server.services.log_source import LogStore
from penstock_server.services.log_streams import LogStreams
from penstock_server.services.log_tasks import LogRequest
from penstock_server.storage.database import Database
from penstock_server.storage.objects import StoredObjects
from penstock_store.files import FileArtifactStore, uri_of

from tests.support.rows import prepared

URI = "file:///logs/1"
FOLLOW = LogRequest("r1", "a", follow=True)
# As many as one peer may have at work.
SHARE = 4


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Objects by URI; counts what it is asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()

    def size(self, uri: str) -> int:
        self.asked["size"] += 1
        if uri not in self.objects:
            raise NotFoundError("Object", uri)
        return len(self.objects[uri])

    def part(self, uri: str, offset: int, length: int) -> bytes:
        self.asked["part"] += 1
        return self.objects[uri][offset : offset + length]


class Reader:
    """Blocks in `send` while `stuck`."""

    def __init__(self, peer: str = "a") -> None:
        self.peer = peer
        self.takes = True
        self.got = b""
        self.ended: list[PenstockError | None] = []
        self.abandoned = threading.Event()
        self.entered = threading.Event()
        self.stuck = False
        self._ready: Callable[[], None] = lambda: None
        self._something = threading.Condition()

    def ready(self) -> bool:
        return self.takes

    def when_ready(self, call: Callable[[], None]) -> None:
        self._ready = call

    def takes_again(self) -> None:
        self.takes = True
        self._ready()

    def send(self, message: bytes) -> None:
        self.entered.set()
        if self.stuck:
            assert self.abandoned.wait(60)
            return
        with self._something:
            self.got += message
            self._something.notify_all()

    def end(self, error: PenstockError | None) -> None:
        with self._something:
            self.ended.append(error)
            self._something.notify_all()

    def abandon(self) -> None:
        self.abandoned.set()


class World:
    """`tick` lets time pass, and the streams look."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = Store()
        self.clock = Clock()
        self.change = 0
        self.logs = self.streams(self.store)

    def streams(self, store: LogStore, pods: PodLogs | None = None) -> LogStreams:
        def explain(run_id: str, path: str) -> Explanation:
            return Explanation(path, "", "waits for something")

        self.logs = LogStreams(self.database, lambda namespace: store, explain, pods, self.clock)
        return self.logs

    def task(self, state: TaskState, uri: str = URI, path: str = "a", attempt: int = 1, pod: str = "") -> None:
        self.change += 1
        task = Task("r1", path, path, TaskKind.CONTAINER, state, attempt=attempt, pod_name=pod, log_uri=uri)
        with self.database.writing() as uow:
            uow.tasks.upsert_many([task], {"r1": self.change})
            uow.queue.advance({"r1": LogEnd(self.change, self.change)})

    def run_ends(self) -> None:
        with self.database.writing() as uow:
            run = uow.runs.get("r1")
            assert run is not None
            uow.runs.set_states([replace(run, state=RunState.SUCCEEDED, finished_at=1)])

    def tick(self) -> None:
        self.clock.now += 2
        self.logs.look()

    def until(self, reader: Reader, holds: Callable[[], bool]) -> None:
        for _ in range(2000):
            with reader._something:
                if holds() or reader._something.wait_for(holds, 0.01):
                    return
            self.tick()
        raise AssertionError(f"it never came to it: {reader.got[-100:]!r}, {reader.ended}")

    def got(self, reader: Reader, content: bytes) -> None:
        """Waits until it has that, and nothing else."""
        self.until(reader, lambda: len(reader.got) >= len(content))
        assert reader.got == content

    def end(self, reader: Reader) -> PenstockError | None:
        self.until(reader, lambda: bool(reader.ended))
        assert len(reader.ended) == 1
        return reader.ended[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    prepared(database, "r1")
    made = World(database)
    yield made
    made.logs.stop()
    database.dispose()


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


class PodLog:
    """`says` and `ends` are what the Pod does."""

    def __init__(self, when_more: Callable[[], None]) -> None:
        self._when_more = when_more
        self._lock = threading.Lock()
        self._kept = b""
        self._end: PenstockError | bool = False
        self.closed = False

    def take(self) -> bytes | None:
        with self._lock:
            found, self._kept = self._kept, b""
            if found or not self._end:
                return found
            if isinstance(self._end, PenstockError):
                raise self._end
            return None

    def close(self) -> None:
        self.closed = True

    def says(self, text: bytes) -> None:
        with self._lock:
            self._kept += text
        self._when_more()

    def ends(self, error: PenstockError | None = None) -> None:
        with self._lock:
            self._end = error or True
        self._when_more()


class Pods:
    """Those in `present` have begun."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.opened: dict[str, PodLog] = {}
        self.asked: list[LogPart] = []
        self.made = threading.Condition()

    def log(self, namespace: str, part: LogPart, *, follow: bool, when_more: Callable[[], None]) -> PodLog:
        made, name = PodLog(when_more), part.pod
        self.asked.append(part)
        if name not in self.present:
            made.ends(NotFoundError("Pod", name))
            return made
        with self.made:
            self.opened[name] = made
            self.made.notify_all()
        return made


@pytest.fixture
def pods(world: World) -> Pods:
    made = Pods()
    world.streams(world.store, made)
    return made


def opened(world: World, reader: Reader, pods: Pods, name: str) -> PodLog:
    world.until(reader, lambda: name in pods.opened)
    return pods.opened[name]


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
