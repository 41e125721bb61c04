"""How far one reader has come with the log of a task, and what comes next.

Why apart from those who send: what follows from what was seen is decided here, without threads.

Invariants: every byte is given once, in order; the log of an attempt is given to its end before that of the next one.
The log of a Pod is read while the Pod writes it; what is in the store is read when the Pod is not there, or when the
task has ended and its log is archived. Of a log that many attempts write to the attempt's own part is given
(`log_marks.py`); where that cannot be told apart, a note, and then what is in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock_ir.task_rows import TaskKind

from penstock_server.domain.explanation import Explanation
from penstock_server.domain.log_parts import NO_PART, LogPart
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError
from penstock_server.services.log_marks import MarkedPart, Place
from penstock_server.services.log_source import SEGMENT_BYTES, LogSource, Seen

PIECE_BYTES = 256 * 1024
# Looks, of which there are from one to four a second: within them all comes that a kubelet has of a log.
_LOOKS_FOR_BEGIN = 20
_LOOKS_FOR_END = 8
NO_BEGIN = (
    b"[penstock: the beginning of this log is not to be had from the kubelet, and what it has may be of other tasks "
    b"that ran in the same Pod. The log is shown when the attempt has ended and its log is stored.]\n"
)
CUT_SHORT = (
    b"[penstock: here the lines of another task of the same Pod begin. All of this log is stored when the attempt has "
    b"ended.]\n"
)


class PodLog(Protocol):
    """The log of a Pod as it comes. A bounded part of it is kept until it is taken."""

    def take(self) -> bytes | None:
        """What has come, which may be nothing; None behind the end.

        Raises NotFoundError for a Pod that is gone or has not begun, UnavailableError.
        """
        ...

    def close(self) -> None: ...


class PodLogs(Protocol):
    """The logs of the cluster in which tasks run."""

    def log(self, namespace: str, part: LogPart, *, follow: bool, when_more: Callable[[], None]) -> PodLog:
        """Returns at once; `when_more` is called, by any thread, each time there is more to take, or the end.

        The log is that of the whole Pod, as far as it was written after `part.since`; there is none of a Pod that many
        attempts share when `part` has no mark.
        """
        ...


class LogReading:
    """`pods` is None where tasks are no Pods; `explain` says why there is no log; `when_more` is called when a Pod has
    said something. One thread at a time.
    """

    def __init__(
        self,
        source: LogSource,
        explain: Callable[[str, str], Explanation],
        pods: PodLogs | None,
        when_more: Callable[[], None],
        *,
        follow: bool,
        tail_bytes: int,
    ) -> None:
        self.source = source
        self._explain = explain
        self._pods = pods
        self._when_more = when_more
        self._follow = follow
        self._tail_bytes = tail_bytes
        # What was there before this reader came is not all there is: it waits for a look of its own.
        self._first = source.looks + 1
        self._begun = False
        self._looked = 0
        self._over = False
        self._live: _Live | None = None
        # The last part of a Pod's log that came from the Pod, to its end, and the last that was in the store, or is to
        # be had there alone.
        self._given = self._stored = NO_PART
        self._noted = False
        self.uri = ""
        """The log in the store that is read, or that the Pod has given."""
        self._is_given = False
        self._offset = 0
        self._segment: tuple[int, int, bytes | None] = (0, 0, None)

    @property
    def waits(self) -> bool:
        """Whether it goes on after a look that found nothing new: it has not begun, or asks for a Pod every time, or
        waits for a mark."""
        if not self._begun:
            return True
        return self._live.counts_looks if self._live is not None else self._asks_for_pod(self.source.part)

    def close(self) -> None:
        """Nothing is read any more."""
        self._over = True
        if self._live is not None:
            self._live.log.close()

    def rest(self) -> None:
        """Nothing is kept in memory until the next piece."""
        self._segment = (*self._segment[:2], None)

    def next_piece(self) -> bytes | None:
        """What comes next, nothing if that is not there yet; None behind the end.

        Raises NotFoundError, FailedPreconditionError, PermissionDeniedError, UnavailableError.
        """
        if self._over:
            return None
        number, seen = self.source.number, self.source.seen
        if number < self._first:
            return b""
        self._begun = True
        if seen.error is not None:
            raise seen.error
        if self._live is not None:
            return self._from_pod(self._live, seen)
        task = seen.task
        if task is None:
            return b"" if self._follow and not seen.run_ended else self._sentence(None)
        archived = seen.size(task.log_uri) is not None
        if self._asks_for_pod(seen.part) and self._looked < number and not (seen.ended and archived):
            self._looked = number
            self._ask_for_pod(seen.part)
            return b""
        return self._from_store(task, seen)

    def _asks_for_pod(self, part: LogPart) -> bool:
        return self._pods is not None and bool(part.pod) and part not in (self._given, self._stored)

    def _ask_for_pod(self, part: LogPart) -> None:
        assert self._pods is not None
        log = self._pods.log(self.source.namespace, part, follow=self._follow, when_more=self._when_more)
        self._live = _Live(log, part, self.source.number)
        if self._over:
            log.close()

    def _from_pod(self, live: _Live, seen: Seen) -> bytes | None:
        try:
            piece = live.take(seen, self.source.number)
        except NotFoundError:
            self._live = None
            live.log.close()
            return self.next_piece()
        if piece is not None:
            return piece
        self._live = None
        live.log.close()
        if live.lost:
            # What the store has of it is whole.
            self._stored, self._noted = live.part, True
            return NO_BEGIN
        self._given = live.part
        return CUT_SHORT if live.place is Place.CUT_SHORT else self.next_piece() if self._follow else None

    def _from_store(self, task: Task, seen: Seen) -> bytes | None:
        if seen.part.pod and seen.part == self._given:
            self.uri, self._is_given = task.log_uri, True
            return b"" if self._follow and not seen.ended else None
        piece = self._stored_piece(seen)
        if not piece and self._goes_on_to(task, seen):
            piece = self._stored_piece(seen)
        if piece:
            return piece
        if self._follow and not seen.ended:
            return b""
        read = self.uri or (task.log_uri if seen.ended else "")
        if read and seen.size(read) is None and not self._is_given and not self._noted:
            raise NotFoundError("Object", read)
        return None if read or self._given.pod or self._noted else self._sentence(task)

    def _goes_on_to(self, task: Task, seen: Seen) -> bool:
        """Whether the task's log is another one than that which was read: the first, or that of a later attempt."""
        size = seen.size(task.log_uri)
        # Until the task has ended, its URI may be that of an attempt before, whose Pod has given it.
        if size is None or task.log_uri == self.uri or (self._given.pod and not seen.ended):
            return False
        self._offset = max(0, size - self._tail_bytes) if self._tail_bytes and not self.uri else 0
        self._segment = (self._offset, self._offset, None)
        self.uri, self._stored, self._is_given = task.log_uri, seen.part, False
        return True

    def _stored_piece(self, seen: Seen) -> bytes:
        """The next bytes of the log that is read, if there are any."""
        size = seen.size(self.uri)
        if size is None or size == self._offset or self._is_given:
            return b""
        if size < self._offset:
            self._offset, self._segment = 0, (0, 0, None)
        start, end, content = self._segment
        if not start <= self._offset < end:
            start, end, content = self._offset, min(size, self._offset + SEGMENT_BYTES), None
        if content is None:
            content = self.source.segment(self.uri, start, end)
        self._segment = (start, end, content)
        piece = content[self._offset - start :][:PIECE_BYTES]
        self._offset += len(piece)
        return piece

    def _sentence(self, task: Task | None) -> bytes:
        self._over = True
        run_id, name = (task.run_id, task.path) if task is not None else (self.source.run_id, self.source.node_id)
        return missing_log_text(task, self._explain(run_id, name))


class _Live:
    """The log of a Pod that is read, and of it what is the attempt's. `opened_at` is the number of a look."""

    def __init__(self, log: PodLog, part: LogPart, opened_at: int) -> None:
        self.log = log
        self.part = part
        self._marked = MarkedPart(part.mark) if part.mark else None
        self._opened_at = opened_at
        self._over_since = 0

    @property
    def place(self) -> Place:
        return self._marked.place if self._marked is not None else Place.WITHIN

    @property
    def lost(self) -> bool:
        """Which of its lines are the attempt's is not known."""
        return self.place in (Place.BEFORE, Place.LOST)

    @property
    def counts_looks(self) -> bool:
        return self.place is Place.BEFORE or self._over_since > 0

    def take(self, seen: Seen, number: int) -> bytes | None:
        """What has come of the attempt's lines, None behind the last; `number` is that of the look that saw `seen`.

        Raises as `PodLog.take`.
        """
        if self._marked is None:
            return self.log.take()
        if not self._over_since and (seen.ended or seen.part != self.part):
            self._over_since = number
        while not self._marked.over:
            piece = self.log.take()
            if piece is None:
                return self._marked.finish() or None
            if not piece:
                return (self._marked.finish() or None) if self._waited(number) else b""
            own = self._marked.feed(piece)
            if own:
                return own
        return None

    def _waited(self, number: int) -> bool:
        """Whether the mark that is waited for does not come any more."""
        if self.place is Place.BEFORE:
            return number - self._opened_at >= _LOOKS_FOR_BEGIN
        return self._over_since > 0 and number - self._over_since >= _LOOKS_FOR_END


def missing_log_text(task: Task | None, explain: Explanation) -> bytes:
    """The sentence that is sent instead of a log."""
    if task is not None and task.kind is TaskKind.IMPORTER:
        text = "an importer runs no command, it names what is there"
    elif task is not None and task.kind is not TaskKind.CONTAINER:
        text = f"it is a group of tasks, which have logs of their own; {explain.summary}"
    else:
        text = explain.summary
    yet = "" if task is not None and task.state.terminal else " yet"
    return f"Task {explain.task!r} has no log{yet}: {text}.\n".encode()
