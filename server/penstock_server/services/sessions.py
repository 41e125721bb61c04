"""Sessions of the web UI, kept in the database so that every server knows them.

Invariants: a session ends at its time whatever its cookie says, and at once when its user logs out, but for seconds on
other servers, which remember what they read. That one begins, or is ended by its user, has a line in the audit log.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from penstock_server.domain.api_token import hash_of
from penstock_server.domain.caller import calling, current_call
from penstock_server.domain.session import Session
from penstock_server.services import audit
from penstock_server.services.ports import Clock, Storage, UnitOfWork
from penstock_server.services.remembered import Remembered

_ID_BYTES = 32


class SessionService:
    """`hours`: how long a session lasts."""

    def __init__(self, storage: Storage, clock: Clock, hours: float = 12.0) -> None:
        self._storage = storage
        self._clock = clock
        self._millis = round(hours * 3_600_000)
        self._known: Remembered[Session] = Remembered(self._read)

    @property
    def seconds(self) -> int:
        """How long a session lasts."""
        return self._millis // 1000

    def begin(self, user: str, groups: tuple[str, ...]) -> str:
        """The id of a new session, for the browser alone. Those that have ended are removed."""
        identifier, now = secrets.token_urlsafe(_ID_BYTES), self._clock.now_millis()
        with self._storage.writing() as uow:
            uow.sessions.delete_ended(now)
            session = Session(hash_of(identifier), user, groups, now, now + self._millis)
            uow.sessions.add(session)
            _note(uow, now, "create", session)
        return identifier

    def find(self, identifier: str) -> Session | None:
        """None when it never was, or has ended."""
        found = self._known.get(hash_of(identifier))
        return found if found is not None and found.expires_at > self._clock.now_millis() else None

    def end(self, identifier: str) -> None:
        """Ends it; one that is not there has ended."""
        id_hash = hash_of(identifier)
        with self._storage.writing() as uow:
            session = uow.sessions.get(id_hash)
            if session is not None and uow.sessions.delete(id_hash):
                _note(uow, self._clock.now_millis(), "delete", session)
        self._known.forget(id_hash)

    def _read(self, id_hash: str) -> Session | None:
        with self._storage.reading() as uow:
            return uow.sessions.get(id_hash)


def _note(uow: UnitOfWork, at: int, verb: str, session: Session) -> None:
    """Who logs in or out is nobody yet, or not any more: the session says who it is."""
    call = current_call()
    with calling(replace(call, caller=replace(call.caller, user=session.user, groups=session.groups))):
        audit.record(uow, at, "sessions", verb, session.id_hash, name=session.user)
