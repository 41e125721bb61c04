"""Tokens and sessions on every database."""

from __future__ import annotations

from penstock_server.domain import listing
from penstock_server.domain.api_token import ApiToken
from penstock_server.domain.caller import Role
from penstock_server.domain.listing import ListRequest
from penstock_server.domain.session import Session
from penstock_server.services.tokens import LISTING
from penstock_server.storage.database import Database

TOKEN = ApiToken("t1", "ci", "älice", ("a", "ü"), Role.EDITOR, ("team-a",), "0" * 64, created_at=1000, expires_at=9000)
SESSION = Session("0" * 64, "älice", ("a", "ü"), created_at=1000, expires_at=9000)


def test_a_token_is_read_as_it_was_written(database: Database) -> None:
    with database.writing() as uow:
        uow.tokens.add(TOKEN)
    with database.reading() as uow:
        assert uow.tokens.get("t1") == TOKEN
        assert uow.tokens.get("t2") is None


def test_use_is_never_set_back(database: Database) -> None:
    with database.writing() as uow:
        uow.tokens.add(TOKEN)
        uow.tokens.note_use("t1", 120_000)
        uow.tokens.note_use("t1", 60_000)
        uow.tokens.note_use("nobody", 60_000)
    with database.reading() as uow:
        found = uow.tokens.get("t1")
    assert found is not None and found.last_used_at == 120_000


def test_a_token_is_revoked_once(database: Database) -> None:
    with database.writing() as uow:
        uow.tokens.add(TOKEN)
        assert uow.tokens.revoke("t1", 2000)
        assert not uow.tokens.revoke("t1", 3000)
        assert not uow.tokens.revoke("nobody", 3000)
    with database.reading() as uow:
        found = uow.tokens.get("t1")
    assert found is not None and found.revoked_at == 2000


def test_users_whose_names_differ_a_little_are_others(database: Database) -> None:
    users = ["alice", "Alice", "álice", "alice\N{ZERO WIDTH SPACE}"]
    with database.writing() as uow:
        for number, user in enumerate(users):
            uow.tokens.add(ApiToken(f"t{number}", "ci", user, (), Role.VIEWER, (), "0" * 64, 1000 + number, 9000))
    query = listing.parse(LISTING, ListRequest(sort_by="created_at desc"))
    for user in users:
        with database.reading() as uow:
            assert [token.user for token in uow.tokens.list(query, user).items] == [user]
    with database.reading() as uow:
        assert [token.user for token in uow.tokens.list(query, None).items] == users[::-1]


def test_sessions_that_ended_are_removed(database: Database) -> None:
    with database.writing() as uow:
        uow.sessions.add(SESSION)
        uow.sessions.add(Session("1" * 64, "bob", (), 1000, 10_000))
    with database.reading() as uow:
        assert uow.sessions.get("0" * 64) == SESSION
    with database.writing() as uow:
        assert uow.sessions.delete_ended(9000) == 1
        assert uow.sessions.get("0" * 64) is None
        assert uow.sessions.delete("1" * 64) and not uow.sessions.delete("1" * 64)
