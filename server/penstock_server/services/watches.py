"""Watches of runs: tells whoever watches a run what was committed, whichever server committed it.

Why one thread looks for all: a watch then costs no thread and no query of its own. Runs are looked at together, a few
times a second, by the number of their changes; this server's own commits are looked at at once.

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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from penstock_server.domain.changes import Position, RunChange, position_after
from penstock_server.errors import InvalidArgumentError, NotFoundError, PenstockError, UnavailableError
from penstock_server.services.ports import Storage
from penstock_server.services.readers import Reader
from penstock_server.services.run_changes import changes_after

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 0.4
_SHORTEST_PAUSE_SECONDS = 0.05
# A quarter of a processor at most.
_PAUSE_BY_WORK = 3.0
_PATIENCE_SECONDS = 5.0
_LONGEST_SECONDS = 15 * 60.0
_THREADS = 16


@dataclass(slots=True, eq=False)
class _Watch:
    run_id: str
    reader: Reader[RunChange]
    position: Position
    until_finished: bool
    summary: bool
    opened: float
    begun: bool = False
    """The first message is sent whether or not there is something new."""
    busy_since: float | None = None


@dataclass(slots=True)
class _Read:
    """What was read in one round, by run, position, and whether tasks are summaries."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    changes: dict[tuple[str, Position, bool], RunChange] = field(default_factory=dict)


class RunWatches:
    """Works from `start` to `stop`. `clock` counts seconds."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: set[_Watch] = set()
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
            watch.reader.end(UnavailableError("the server is stopping; watch again with the last sequence"))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wake(self, *_: object) -> None:
        """Something was committed here, or can be sent again."""
        self._wake.set()

    def __len__(self) -> int:
        return len(self._watches)

    def open(
        self,
        run_id: str,
        after: int,
        reader: Reader[RunChange],
        *,
        until_finished: bool = False,
        summary: bool = False,
    ) -> Callable[[], None]:
        """Begins to send, tasks as summaries if asked to; the result ends the watch without a word to its reader.

        Raises NotFoundError, InvalidArgumentError, UnavailableError.
        """
        if after < 0:
            raise InvalidArgumentError("it must not be negative", "after")
        with self._storage.reading() as uow:
            changes = uow.runs.changes([run_id])
        if run_id not in changes:
            raise NotFoundError("Run", run_id)
        if after > changes[run_id]:
            raise InvalidArgumentError(
                f"the run has come to change {changes[run_id]} only; begin again, with 0", "after"
            )
        watch = _Watch(run_id, reader, position_after(after), until_finished, summary, self._clock())
        reader.when_ready(self.wake)
        with self._lock:
            if self._stopped:
                raise UnavailableError("the server is stopping; try again")
            self._watches.add(watch)
        self.wake()

        def close() -> None:
            self._forget(watch)

        return close

    def _forget(self, watch: _Watch) -> bool:
        with self._lock:
            known = watch in self._watches
            self._watches.discard(watch)
        return known

    def _end(self, watch: _Watch, error: PenstockError | None = None) -> None:
        if self._forget(watch):
            watch.reader.end(error)

    # --- the thread that looks -------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopped:
            self._wake.wait(_LOOK_EVERY_SECONDS if self._watches else None)
            self._wake.clear()
            began = self._clock()
            try:
                self.look()
            except UnavailableError as error:
                log.warning("watches wait for the database: %s", error)
            except Exception:
                log.exception("watches could not be looked at")
            time.sleep(max(_SHORTEST_PAUSE_SECONDS, _PAUSE_BY_WORK * (self._clock() - began)))

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
        idle = [watch for watch in watches if watch.busy_since is None and watch.reader.ready()]
        if not idle:
            return
        with self._storage.reading() as uow:
            changes = uow.runs.changes(sorted({watch.run_id for watch in idle}))
        by_peer: dict[str, list[_Watch]] = defaultdict(list)
        for watch in idle:
            newest = changes.get(watch.run_id)
            if newest is None:
                self._end(watch, NotFoundError("Run", watch.run_id))
            elif not watch.begun or watch.position < Position(newest):
                by_peer[watch.reader.peer].append(watch)
        read = _Read()
        for peer, due in by_peer.items():
            with self._lock:
                if self._stopped or peer in self._sending:
                    continue
                self._sending.add(peer)
            self._pool.submit(self._send_all, peer, due, read)

    # --- the threads that send -------------------------------------------------------------------------------------

    def _send_all(self, peer: str, due: Sequence[_Watch], read: _Read) -> None:
        try:
            for watch in due:
                self._send(watch, read)
        finally:
            with self._lock:
                self._sending.discard(peer)

    def _send(self, watch: _Watch, read: _Read) -> None:
        watch.busy_since = self._clock()
        try:
            while watch.reader.ready() and watch in self._watches:
                change = self._change(watch, read)
                watch.reader.send(change)
                watch.busy_since = self._clock()
                watch.position, watch.begun = change.position, True
                if change.more:
                    continue
                if watch.until_finished and change.run.state.final:
                    self._end(watch)
                return
        except UnavailableError as error:
            log.warning("a watch waits for the database: %s", error)
        except PenstockError as error:
            self._end(watch, error)
        except Exception:
            log.exception("run %s: a watch ends", watch.run_id)
            self._end(watch, UnavailableError("what is new could not be sent; watch again"))
        finally:
            watch.busy_since = None

    def _change(self, watch: _Watch, read: _Read) -> RunChange:
        key = watch.run_id, watch.position, watch.summary
        with read.lock:
            found = read.changes.get(key)
            if found is None:
                found = read.changes[key] = changes_after(
                    self._storage, watch.run_id, watch.position, summary=watch.summary
                )
        return found
