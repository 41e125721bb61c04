"""The audit log: who did, or was refused, what to which object.

Invariants: a deed and its line are one transaction, so neither is without the other; lines are added and, when they are
older than the retention, removed, never changed; refusals wait in a bounded queue, and what does not fit is counted in
the log; what a caller sends is cut to the columns' lengths, so that a line never fails for what is in it.

A deed in ML Metadata is the exception, since that is a database of its own. Its line is an intent: it is committed
before the store is asked, and says so by the result UNKNOWN. So no deed is without a line, but a line may be of one
that the store then refused. The other order could lose lines: a server that dies, or whose database goes away, between
the deed and the line would leave a deed that nobody can tell of, and a store that hangs may do it after all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from queue import Empty, Full, Queue

from penstock_server.domain.audit import AuditEvent, AuditQuery
from penstock_server.domain.caller import Call, current_call
from penstock_server.errors import ConcealedError, PenstockError, UnauthenticatedError
from penstock_server.services.ports import Clock, Storage, UnitOfWork

log = logging.getLogger(__name__)

_DAY = 24 * 60 * 60 * 1000
# Removed in one transaction, so that a long backlog does not hold up the writers.
_BATCH = 5_000
MAX_PAGE = 1000
INTENT = "UNKNOWN"
"""The result in a line that was written before the deed."""
_INTENT = "this line is older than the deed: whether it was done, ML Metadata knows"
# Refusals: how many may wait, how many are written at a time, and how often. More come from nobody but an attacker.
_WAITING = 1_000
_FLUSHED = 200
_FLUSH_SECONDS = 0.5
_EXPIRY_SECONDS = 3600.0


def record(
    uow: UnitOfWork, at: int, resource: str, verb: str, object_id: str, namespace: str = "", name: str = ""
) -> None:
    """Adds the line of a deed of the current call to the deed's own transaction. `at` in milliseconds."""
    uow.audit.add_many([_event(current_call(), at, resource, verb, object_id, namespace, name)])


class AuditService:
    """`retention_days` of 0 keeps everything. `start` and `stop` may be called once each."""

    def __init__(self, storage: Storage, clock: Clock, retention_days: int = 0) -> None:
        self._storage = storage
        self._clock = clock
        self._retention = retention_days * _DAY
        self._refused: Queue[AuditEvent] = Queue(_WAITING)
        self._dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)

    def start(self) -> None:
        """Begins to write refusals, and to remove what is older than the retention."""
        self._thread.start()

    def stop(self) -> None:
        """Writes the refusals that wait."""
        self._stop.set()
        self._thread.join(10)

    def refused(self, call: Call, error: PenstockError) -> None:
        """Takes down a call that was turned away. Returns at once: the line is written a moment later, in a batch, so
        that whoever is refused a thousand times a second does not keep the database busy.
        """
        resource, verb, namespace = (getattr(error, name, "") for name in ("resource", "verb", "namespace"))
        object_id, reason = "", error.message
        if isinstance(error, ConcealedError):
            object_id, reason = error.identifier, f"it is another's, and the caller was told: {reason}"
        event = _event(call, self._clock.now_millis(), resource, verb, object_id, namespace, "")
        result = "UNAUTHENTICATED" if isinstance(error, UnauthenticatedError) else "PERMISSION_DENIED"
        try:
            self._refused.put_nowait(replace(event, result=result, reason=_cut(reason, 1000)))
        except Full:
            self._dropped += 1

    def intended(self, resource: str, verb: str, object_id: str = "", name: str = "") -> None:
        """Commits the line of what the current call is about to do in another database.

        Raises what the database raises; then it must not be done.
        """
        event = _event(current_call(), self._clock.now_millis(), resource, verb, object_id, "", name)
        with self._storage.writing() as uow:
            uow.audit.add_many([replace(event, result=INTENT, reason=_INTENT)])

    def list(self, query: AuditQuery, limit: int) -> Sequence[AuditEvent]:
        """The newest first, at most `limit` and `MAX_PAGE`."""
        with self._storage.reading() as uow:
            return uow.audit.list(query, min(limit, MAX_PAGE))

    def _work(self) -> None:
        looked_at = float("-inf")
        # No retry of a failed call: it works at its interval whether the last round failed or not.
        while not self._stop.wait(_FLUSH_SECONDS):
            try:
                self.flush()
                if time.monotonic() - looked_at >= _EXPIRY_SECONDS and self.expire() < _BATCH:
                    looked_at = time.monotonic()
            except Exception:
                log.exception("the audit log could not be written; it will be tried again")
        try:
            self.flush()
        except Exception:
            log.exception("the last refused calls have no line in the audit log")

    def flush(self) -> int:
        """Writes the refusals that wait; returns how many."""
        events: list[AuditEvent] = []
        while len(events) < _FLUSHED:
            try:
                events.append(self._refused.get_nowait())
            except Empty:
                break
        try:
            if events:
                with self._storage.writing() as uow:
                    uow.audit.add_many(events)
        except Exception:
            self._dropped += len(events)
            raise
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            log.warning("%d refused calls have no line in the audit log: too many came at once", dropped)
        return len(events)

    def expire(self) -> int:
        """Removes lines that are older than the retention; returns how many, at most a batch."""
        if not self._retention:
            return 0
        with self._storage.writing() as uow:
            return uow.audit.remove_before(self._clock.now_millis() - self._retention, _BATCH)


def _event(call: Call, at: int, resource: str, verb: str, object_id: str, namespace: str, name: str) -> AuditEvent:
    caller = call.caller
    return AuditEvent(
        at=at,
        user=_cut(caller.user, 255),
        groups=tuple(_cut(group, 255) for group in caller.groups[:100]),
        source=caller.source.value,
        address=_cut(caller.address, 64),
        method=_cut(call.method, 255),
        request_id=_cut(call.request_id, 128),
        resource=_cut(resource, 63),
        verb=_cut(verb, 63),
        namespace=_cut(namespace, 63),
        object_id=_cut(object_id, 64),
        object_name=_cut(name, 255),
    )


def _cut(text: str, characters: int) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:characters]
