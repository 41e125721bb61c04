"""One task's log as the store has it, for all who read it at the same time.

Why shared: however many follow a log, its size is asked for once, and bytes that several want are read once.

Invariants: what a look found is one value, made anew by the next look; the task was looked at before the sizes, so the
log of a task that had ended by then is whole. A log that became shorter begins anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cachetools import LRUCache

from penstock_server.domain.log_parts import NO_PART, LogPart
from penstock_server.domain.run import Run
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError, PenstockError

SEGMENT_BYTES = 1024 * 1024
_KEPT_BYTES = 16 * SEGMENT_BYTES


class LogStore(Protocol):
    """Reads the objects of a namespace. Raises NotFoundError, FailedPreconditionError, UnavailableError."""

    def size(self, uri: str) -> int | None:
        """None of a directory."""
        ...

    def part(self, uri: str, offset: int, length: int) -> bytes:
        """Fewer bytes where the object ends. It is an object, no directory."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """`task` is None while the run has not reached it, `part` is where its attempt writes to a Pod's log; `sizes` has
    the logs that are there, by URI."""

    task: Task | None = None
    part: LogPart = NO_PART
    run_ended: bool = False
    sizes: Mapping[str, int] | None = None
    error: PenstockError | None = None

    @property
    def ended(self) -> bool:
        """Nothing is written any more, unless the run is retried."""
        return self.run_ended or (self.task is not None and self.task.state.terminal)

    def size(self, uri: str) -> int | None:
        return self.sizes.get(uri) if self.sizes and uri else None


class Segments:
    """Parts of logs that were read lately, bounded by their bytes; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[object, ...], bytes] = LRUCache(_KEPT_BYTES, getsizeof=len)

    def get(self, key: tuple[object, ...]) -> bytes | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: tuple[object, ...], content: bytes) -> None:
        with self._lock:
            self._kept[key] = content


class LogSource:
    """`node_id` is the name by which it was asked for; `objects` the store of the run's namespace."""

    def __init__(
        self,
        run: Run,
        node_id: str,
        objects: Callable[[str], LogStore],
        segments: Segments,
        task: Task | None,
        part: LogPart | None = None,
    ) -> None:
        self.run_id = run.run_id
        self.namespace = run.namespace
        self.node_id = node_id
        self.seen = Seen()
        self.looks = 0
        """How many looks were begun; `number` is that of the last one that ended."""
        self.number = 0
        self._objects = objects
        self._segments = segments
        self._now: tuple[Task | None, LogPart, bool] = task, part or _own_pod(task), run.state.final
        self._shrunk = 0
        self._token = object()
        self._reading = threading.Lock()

    @property
    def task(self) -> Task | None:
        """The newest that is known."""
        return self._now[0]

    @property
    def part(self) -> LogPart:
        return self._now[1]

    def told(self, task: Task | None, part: LogPart | None = None, *, run_ended: bool) -> bool:
        """How the task stands now; whether that is new. What was known of the task stays if it is None. Without a
        `part`, it has its Pod for itself."""
        before = self._now
        self._now = (*before[:2], run_ended) if task is None else (task, part or _own_pod(task), run_ended)
        return self._now != before

    def look(self, uris: Iterable[str]) -> bool:
        """Looks at the task's log, and at `uris`, logs of earlier attempts; whether there is something new.

        One thread at a time.
        """
        self.looks += 1
        task, part, run_ended = self._now
        wanted = {*uris, task.log_uri if task is not None else ""} - {""}
        sizes: dict[str, int] = {}
        error: PenstockError | None = None
        try:
            for uri in wanted:
                size = self._size(uri)
                if size is not None:
                    sizes[uri] = size
        except PenstockError as problem:
            error = problem
        found = Seen(task, part, run_ended, sizes, error)
        if any(size < (self.seen.size(uri) or 0) for uri, size in sizes.items()):
            self._shrunk += 1
        is_new = found != self.seen
        self.seen, self.number = found, self.looks
        return is_new

    def _size(self, uri: str) -> int | None:
        try:
            return self._objects(self.namespace).size(uri)
        except NotFoundError:
            # The URI of a log is known before the process writes to it.
            return None

    def segment(self, uri: str, start: int, end: int) -> bytes:
        """At most SEGMENT_BYTES; fewer where the log ends."""
        key = (self._token, self._shrunk, uri, start, end)
        with self._reading:
            found = self._segments.get(key)
            if found is None:
                found = self._objects(self.namespace).part(uri, start, end - start)
                if len(found) == end - start:
                    self._segments.put(key, found)
        return found


def _own_pod(task: Task | None) -> LogPart:
    return LogPart(task.pod_name) if task is not None else NO_PART
