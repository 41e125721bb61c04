"""Tells whoever watches something what was committed, whichever server committed it.

Why one thread looks for all: a watch then costs no thread and no query of its own. What is watched is looked at
together, a few times a second, and at once after a commit of this server. What can be watched is a `Source`.

Invariants: a watch is told of every change in order, several joined to one message when they come faster than they are
sent. What is the same for several is read once. A reader that takes nothing for seconds loses its watch, and until then
keeps only what else its own peer watches waiting. Watches end after a while, so that rights are asked for anew. Looking
takes a bounded part of a processor: the longer it took, the longer the pause behind it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock_server.domain.changes import Position
from penstock_server.errors import NotFoundError, PenstockError, UnavailableError
from penstock_server.services.readers import Reader

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.4
_SHORTEST_PAUSE_SECONDS = 0.05
# A quarter of a processor at most.
_PAUSE_BY_WORK = 3.0
_PATIENCE_SECONDS = 5.0
_LONGEST_SECONDS = 15 * 60.0
_THREADS = 16


class Change(Protocol):
    """One message: a watch that was told stands at `position`, and there is `more`, or not."""

    @property
    def position(self) -> Position: ...
    @property
    def more(self) -> bool: ...


class Source(Protocol):
    """Things that can be watched, each by its `subject`."""

    def rest(self) -> float:
        """For how many seconds nothing has to be looked at, unless something is committed here."""
        ...

    def newest(self, subjects: Collection[Any]) -> Mapping[Any, int]:
        """The latest change of each, of those that are there. Looks. Raises UnavailableError."""
        ...

    def read(self, subject: Any, position: Position) -> Any:
        """The Change behind a position. Raises PenstockError."""
        ...


@dataclass(slots=True, eq=False)
class Watch:
    """`ends`: whether nothing follows a change. Without `begun` it is told of where it stands when nothing is new."""

    source: Source
    subject: Hashable
    reader: Reader[Any]
    position: Position
    ends: Callable[[Any], bool] = lambda _: False
    begun: bool = False
    opened: float = 0.0
    busy_since: float | None = None

    def lacks(self, change: int) -> bool:
        """Whether it is to be told of that change."""
        return not self.begun or self.position < Position(change)


@dataclass(slots=True)
class _Read:
    """What was read in one round, by subject and position."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    changes: dict[tuple[Hashable, Position], Change] = field(default_factory=dict)


class Watching:
    """Works from `start` to `stop`. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._sending: set[str] = set()
        self._wake = threading.Event()
        self._stopped = False
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="watch")
        self._thread = threading.Thread(target=self._work, name="watches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends all watches as unavailable: their readers go to another server."""
        with self._lock:
            self._stopped = True
            watches = list(self._watches)
            self._watches.clear()
        self._wake.set()
        for watch in watches:
            watch.reader.end(UnavailableError("the server is stopping; watch again from where you are"))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wake(self, *_: object) -> None:
        """Something was committed here, or can be sent again."""
        self._wake.set()

    def __len__(self) -> int:
        return len(self._watches)

    def open(self, watch: Watch) -> Callable[[], None]:
        """Begins to send; the result ends the watch without a word to its reader. Raises UnavailableError."""
        watch.opened = self._clock()
        watch.reader.when_ready(self.wake)
        with self._lock:
            if self._stopped:
                raise UnavailableError("the server is stopping; try again")
            self._watches.add(watch)
        self.wake()

        def close() -> None:
            self._forget(watch)

        return close

    def _forget(self, watch: Watch) -> bool:
        with self._lock:
            known = watch in self._watches
            self._watches.discard(watch)
        return known

    def _end(self, watch: Watch, error: PenstockError | None = None) -> None:
        if self._forget(watch):
            watch.reader.end(error)

    # --- the thread that looks -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopped:
            self._wake.wait(self._rest())
            self._wake.clear()
            began = self._clock()
            try:
                self.look()
            except UnavailableError as error:
                log.warning("watches wait for the database: %s", error)
            except Exception:
                log.exception("watches could not be looked at")
            time.sleep(max(_SHORTEST_PAUSE_SECONDS, _PAUSE_BY_WORK * (self._clock() - began)))

    def _rest(self) -> float | None:
        """Seconds until the next look; None while nobody watches."""
        with self._lock:
            sources = {watch.source for watch in self._watches}
        return min((source.rest() for source in sources), default=None)

    def look(self) -> None:
        """Has everything sent that is new. Raises UnavailableError."""
        now = self._clock()
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            if watch.busy_since is not None and now - watch.busy_since > _PATIENCE_SECONDS:
                watch.reader.abandon()
                self._forget(watch)
            elif watch.busy_since is None and now - watch.opened > _LONGEST_SECONDS:
                self._end(watch)
        idle: dict[Source, list[Watch]] = defaultdict(list)
        for watch in watches:
            if watch.busy_since is None and watch.reader.ready():
                idle[watch.source].append(watch)
        by_peer: dict[str, list[tuple[Watch, int]]] = defaultdict(list)
        for source, its in idle.items():
            newest = source.newest({watch.subject for watch in its})
            for watch in its:
                change = newest.get(watch.subject)
                if change is None:
                    self._end(watch, NotFoundError("Run", str(watch.subject)))
                elif watch.lacks(change):
                    by_peer[watch.reader.peer].append((watch, change))
        read = _Read()
        for peer, due in by_peer.items():
            with self._lock:
                if self._stopped or peer in self._sending:
                    continue
                self._sending.add(peer)
            self._pool.submit(self._send_all, peer, due, read)

    # --- the threads that send -------------------------------------------------------------------------------------

    def _send_all(self, peer: str, due: Sequence[tuple[Watch, int]], read: _Read) -> None:
        try:
            for watch, change in due:
                # The round before may have told it after this one looked.
                if watch.lacks(change):
                    self._send(watch, read)
        finally:
            with self._lock:
                self._sending.discard(peer)

    def _send(self, watch: Watch, read: _Read) -> None:
        watch.busy_since = self._clock()
        try:
            while watch.reader.ready() and watch in self._watches:
                change = self._change(watch, read)
                watch.reader.send(change)
                watch.busy_since = self._clock()
                watch.position, watch.begun = change.position, True
                if change.more:
                    continue
                if watch.ends(change):
                    self._end(watch)
                return
        except UnavailableError as error:
            log.warning("a watch waits for the database: %s", error)
        except PenstockError as error:
            self._end(watch, error)
        except Exception:
            log.exception("%s: a watch ends", watch.subject)
            self._end(watch, UnavailableError("what is new could not be sent; watch again"))
        finally:
            watch.busy_since = None

    def _change(self, watch: Watch, read: _Read) -> Change:
        key = watch.subject, watch.position
        with read.lock:
            found = read.changes.get(key)
            if found is None:
                found = read.changes[key] = watch.source.read(watch.subject, watch.position)
        return found
