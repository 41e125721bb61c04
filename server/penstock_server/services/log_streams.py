"""Logs of tasks, followed or not, for many readers at a time; none of them holds a thread.

Why one thread looks for all: a log that is followed says nothing most of the time. A few times a second the runs of all
logs are asked for their number of changes, in one query, and each log for its size, however many read it; one that is
silent is asked less often. The logs of Pods come by themselves, over a connection each.

Invariants: a stream holds no database connection while it sends; a followed log ends when its task has ended and the
whole log was sent; if a task has no log, the stream is a sentence that says why. A reader that takes nothing keeps a
thread as long as nobody needs it, and loses its stream when somebody does after some seconds; until then it holds up
its own peer alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from penstock_server.domain.explanation import Explanation
from penstock_server.domain.log_parts import LogPart
from penstock_server.domain.run import Run
from penstock_server.domain.task import Task
from penstock_server.errors import InvalidArgumentError, NotFoundError, PenstockError, UnavailableError
from penstock_server.services.log_reading import LogReading, PodLogs
from penstock_server.services.log_source import LogSource, LogStore, Segments
from penstock_server.services.log_tasks import LogRequest, task_of, tell
from penstock_server.services.ports import Storage
from penstock_server.services.readers import Reader
from penstock_server.services.turns import Turns

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 0.25
# A quarter of a processor at most.
_PAUSE_BY_WORK = 3.0
_LOOK_AT_SILENT_SECONDS = 1.0
# A log that has been silent is looked at after a part of that time again.
_PART_OF_SILENCE = 10.0
# Looks a second at most, which bounds what they take of a processor: one takes some tenths of a millisecond.
_LOOKS_A_SECOND = 1000
_LOOKERS = 4
_PATIENCE_SECONDS = 5.0
_SENDERS = 16
_SENDERS_OF_ONE_PEER = 4
# A reader that takes all at once lets others have their turn.
_TURN_SECONDS = 0.25


class _Log:
    """A log that is read, and when it is looked at."""

    def __init__(self, source: LogSource, now: float) -> None:
        self.source = source
        self.streams: set[_Stream] = set()
        self.looking = False
        self.again = False
        self.due_at = now
        self.said_at = now


class _Stream:
    """One reader of a log. `queued` for a turn, `working` in it; `again`, something came meanwhile."""

    def __init__(self, log_read: _Log, reader: Reader[bytes]) -> None:
        self.log = log_read
        self.reader = reader
        self.reading: LogReading
        self.queued = self.working = self.again = False
        self.busy_since: float | None = None


class LogStreams:
    """Works from `start` to `stop`. `objects` gives the store of a namespace; `explain` explains a task of a run by its
    path; `pods` is None where tasks are no Pods; `clock` counts seconds.
    """

    def __init__(
        self,
        storage: Storage,
        objects: Callable[[str], LogStore],
        explain: Callable[[str, str], Explanation],
        pods: PodLogs | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._objects = objects
        self._explain = explain
        self._pods = pods
        self._clock = clock
        self._lock = threading.Lock()
        self._segments = Segments()
        self._logs: dict[tuple[str, str], _Log] = {}
        self._streams: set[_Stream] = set()
        self._changes: dict[str, int] = {}
        self._wake = threading.Event()
        self._stopped = False
        self._lookers = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="log-look")
        self._senders = Turns("log-send", _SENDERS, _SENDERS_OF_ONE_PEER)
        self._thread = threading.Thread(target=self._work, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends all streams as unavailable."""
        with self._lock:
            self._stopped = True
            streams = list(self._streams)
        self._wake.set()
        for stream in streams:
            self._end(stream, UnavailableError("the server is stopping; read the log again"))
        self._senders.stop()
        self._lookers.shutdown(wait=False, cancel_futures=True)

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, request: LogRequest, reader: Reader[bytes]) -> Callable[[], None]:
        """Begins to send; the result ends the stream without a word to its reader.

        Raises InvalidArgumentError, NotFoundError for an unknown run or task, UnavailableError.
        """
        if request.tail_bytes < 0:
            raise InvalidArgumentError("it must not be negative", "tail_bytes")
        with self._storage.reading() as uow:
            run, task, part = task_of(uow, request)
        with self._lock:
            if self._stopped:
                raise UnavailableError("the server is stopping; try again")
            stream = self._added(request, reader, run, task, part)
            if len(self._streams) == 1:
                self._wake.set()
        reader.when_ready(lambda: self._due(stream))
        self._look_at(stream.log)

        def close() -> None:
            self._forget(stream)

        return close

    def _added(
        self, request: LogRequest, reader: Reader[bytes], run: Run, task: Task | None, part: LogPart | None
    ) -> _Stream:
        key = run.run_id, task.task_id if task is not None else request.node_id
        found = self._logs.get(key)
        if found is None:
            source = LogSource(run, request.node_id, self._objects, self._segments, task, part)
            found = self._logs[key] = _Log(source, self._clock())
        else:
            found.source.told(task, part, run_ended=run.state.final)
        stream = _Stream(found, reader)
        stream.reading = LogReading(
            found.source,
            self._explain,
            self._pods,
            lambda: self._due(stream),
            follow=request.follow,
            tail_bytes=request.tail_bytes,
        )
        found.streams.add(stream)
        self._streams.add(stream)
        return stream

    def _forget(self, stream: _Stream) -> bool:
        with self._lock:
            if stream not in self._streams:
                return False
            self._streams.discard(stream)
            stream.log.streams.discard(stream)
            if not stream.log.streams:
                self._logs = {key: one for key, one in self._logs.items() if one is not stream.log}
        stream.reading.close()
        return True

    def _end(self, stream: _Stream, error: PenstockError | None = None) -> None:
        if self._forget(stream):
            stream.reader.end(error)

    # --- the threads that look -------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = _LOOK_EVERY_SECONDS
        while not self._stopped:
            self._wake.wait(pause if self._streams else None)
            self._wake.clear()
            began = self._clock()
            try:
                self.look()
            except UnavailableError as error:
                log.warning("logs wait for the database: %s", error)
            except Exception:
                log.exception("logs could not be looked at")
            pause = max(_LOOK_EVERY_SECONDS, _PAUSE_BY_WORK * (self._clock() - began))

    def look(self) -> None:
        """Asks how the tasks stand, and for the sizes of logs that are due. Raises UnavailableError."""
        now = self._clock()
        with self._lock:
            streams, logs = list(self._streams), list(self._logs.values())
        for stream in streams:
            since = stream.busy_since
            if since is not None and now - since > _PATIENCE_SECONDS and self._senders.held_up(stream.reader.peer):
                stream.reader.abandon()
                self._forget(stream)
        self._ask_for_tasks(logs)
        for one in logs:
            if one.due_at <= now:
                self._look_at(one)

    def _ask_for_tasks(self, logs: list[_Log]) -> None:
        by_run: dict[str, dict[LogSource, _Log]] = defaultdict(dict)
        for one in logs:
            by_run[one.source.run_id][one.source] = one
        if not by_run:
            self._changes = {}
            return
        gone: list[_Log] = []
        with self._storage.reading() as uow:
            changes = uow.runs.changes(sorted(by_run))
            for run_id, of_run in by_run.items():
                if run_id not in changes:
                    gone += of_run.values()
                elif changes[run_id] != self._changes.get(run_id):
                    for source in tell(uow, run_id, of_run):
                        of_run[source].due_at = 0.0
        self._changes = dict(changes)
        for one in gone:
            for stream in list(one.streams):
                self._end(stream, NotFoundError("Run", one.source.run_id))

    def _look_at(self, one: _Log) -> None:
        with self._lock:
            if self._stopped:
                return
            if one.looking:
                one.again = True
                return
            one.looking = True
            self._lookers.submit(self._looked, one)

    def _looked(self, one: _Log) -> None:
        try:
            with self._lock:
                streams = list(one.streams)
            is_new = one.source.look({stream.reading.uri for stream in streams})
            now = self._clock()
            one.said_at = now if is_new else one.said_at
            silence = (now - one.said_at) / _PART_OF_SILENCE
            pause = max(_LOOK_EVERY_SECONDS, min(silence, _LOOK_AT_SILENT_SECONDS), len(self._logs) / _LOOKS_A_SECOND)
            one.due_at = now + pause
            for stream in streams:
                if is_new or stream.reading.waits:
                    self._due(stream)
        except Exception:
            log.exception("run %s: a log could not be looked at", one.source.run_id)
        with self._lock:
            one.looking, again, one.again = False, one.again, False
        if again:
            self._look_at(one)

    # --- the threads that send -------------------------------------------------------------------------------------

    def _due(self, stream: _Stream) -> None:
        """There may be something to send."""
        with self._lock:
            if stream.queued or stream not in self._streams:
                return
            if stream.working:
                stream.again = True
                return
            stream.queued = True
        self._senders.take(stream.reader.peer, lambda: self._turn(stream))

    def _turn(self, stream: _Stream) -> None:
        with self._lock:
            stream.queued, stream.working = False, True
        more = False
        try:
            more = self._send(stream)
        except PenstockError as error:
            self._end(stream, error)
        except Exception:
            log.exception("run %s: the stream of a log ends", stream.log.source.run_id)
            self._end(stream, UnavailableError("the log could not be sent; read it again"))
        stream.busy_since = None
        stream.reading.rest()
        with self._lock:
            stream.working, again, stream.again = False, stream.again, False
        if more or again:
            self._due(stream)

    def _send(self, stream: _Stream) -> bool:
        """Sends what there is; whether there may be more that is to be sent in another turn."""
        until = self._clock() + _TURN_SECONDS
        while stream in self._streams and stream.reader.ready():
            piece = stream.reading.next_piece()
            if piece is None:
                self._end(stream)
            if not piece:
                return False
            stream.busy_since = self._clock()
            stream.reader.send(piece)
            stream.busy_since = None
            if self._clock() >= until:
                return True
        return False
