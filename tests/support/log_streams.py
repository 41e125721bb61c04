"""Log streams by a clock that is set by hand, a store in memory, Pods that say what they are told, readers that take
what they like.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import LogEnd
from penstock_server.domain.explanation import Explanation
from penstock_server.domain.log_parts import LogPart
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError, PenstockError
from penstock_server.services.log_reading import PodLogs
from penstock_server.services.log_source import LogStore
from penstock_server.services.log_streams import LogStreams
from penstock_server.services.log_tasks import LogRequest
from penstock_server.storage.database import Database

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


@contextmanager
def log_world(directory: Path) -> Iterator[World]:
    """With the run `r1`."""
    database = Database(f"sqlite:///{directory}/test.db")
    database.migrate()
    prepared(database, "r1")
    made = World(database)
    yield made
    made.logs.stop()
    database.dispose()


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


def opened(world: World, reader: Reader, pods: Pods, name: str) -> PodLog:
    world.until(reader, lambda: name in pods.opened)
    return pods.opened[name]
