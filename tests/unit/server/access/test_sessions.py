"""Sessions: who they are, when they end, and what a change needs besides the cookie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_server.access.credentials import Credentials
from penstock_server.access.sessions import SessionAuthenticator
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError
from penstock_server.services.sessions import SessionService
from penstock_server.storage.database import Database

from tests.support.identities import MovableClock, sqlite

HOUR = 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = sqlite(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def sessions(database: Database, clock: MovableClock) -> SessionService:
    return SessionService(database, clock, hours=2)


def identify(sessions: SessionService, identifier: str, verb: str = "GET", **headers: str) -> Caller | None:
    shown = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return SessionAuthenticator(sessions).authenticate(Credentials(shown, session=identifier, verb=verb))


def test_a_session_is_its_user(sessions: SessionService, tmp_path: Path) -> None:
    identifier = sessions.begin("alice", ("team-a",))
    assert identify(sessions, identifier) == Caller("alice", ("team-a",), Source.SESSION)
    assert identify(sessions, "") is None
    assert not any(identifier.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_a_session_ends_at_its_time(sessions: SessionService, clock: MovableClock, database: Database) -> None:
    identifier = sessions.begin("alice", ())
    clock.now += 2 * HOUR - 1
    assert identify(sessions, identifier)
    clock.now += 1
    with pytest.raises(UnauthenticatedError, match="log in again"):
        identify(sessions, identifier)
    later = sessions.begin("bob", ())
    with database.writing() as uow:
        assert uow.sessions.delete_ended(clock.now) == 0
    assert identify(sessions, later)


def test_a_session_ends_with_the_log_out(sessions: SessionService, database: Database, clock: MovableClock) -> None:
    identifier = sessions.begin("alice", ())
    assert identify(sessions, identifier)
    sessions.end(identifier)
    sessions.end(identifier)
    for server in (sessions, SessionService(database, clock)):
        with pytest.raises(UnauthenticatedError):
            identify(server, identifier)


@pytest.mark.parametrize("identifier", ["x", "x" * 43, "x" * 100_000, "\x00", "'; DROP TABLE sessions"])
def test_an_id_that_nobody_has(sessions: SessionService, identifier: str) -> None:
    with pytest.raises(UnauthenticatedError):
        identify(sessions, identifier)


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "", "get", "X"])
def test_a_change_needs_more_than_the_cookie(sessions: SessionService, verb: str) -> None:
    identifier = sessions.begin("alice", ())
    for headers in ({}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"sec_fetch_site": "none"}):
        with pytest.raises(UnauthenticatedError, match="CSRF"):
            identify(sessions, identifier, verb, **headers)
    for headers in ({"x_penstock_csrf": "1"}, {"origin": "https://own"}, {"sec_fetch_site": "same-origin"}):
        assert identify(sessions, identifier, verb, **headers)


def test_who_sends_a_token_means_it(sessions: SessionService) -> None:
    assert identify(sessions, sessions.begin("alice", ()), authorization="Bearer x") is None
