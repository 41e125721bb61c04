"""API tokens: made, bounded, proven, revoked, and noted as used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_server.access.api_tokens import TokenAuthenticator
from penstock_server.access.credentials import Credentials
from penstock_server.domain import api_token
from penstock_server.domain.api_token import ApiToken
from penstock_server.domain.audit import AuditQuery
from penstock_server.domain.caller import Caller, Role, Source, TokenScope
from penstock_server.domain.listing import ListRequest
from penstock_server.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from penstock_server.services.kept import Kept
from penstock_server.services.remembered import Remembered
from penstock_server.services.tokens import MAX_MILLIS, NewToken, TokenService
from penstock_server.storage.database import Database
from penstock_server.storage.repositories.tokens import SqlTokenRepository

from tests.support.identities import MovableClock, sqlite

ALICE = Caller("alice", ("team-a",), Source.OIDC)
DAY = 24 * 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = sqlite(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def tokens(database: Database, clock: MovableClock) -> TokenService:
    return TokenService(database, clock)


def wanted(clock: MovableClock, role: str = "", *namespaces: str, days: float = 30) -> NewToken:
    return NewToken("ci", clock.now + round(days * DAY), role, namespaces)


@lru_cache(1)
def authenticator(tokens: TokenService) -> TokenAuthenticator:
    """The one of a test, so that it has what it keeps."""
    return TokenAuthenticator(tokens)


def identify(tokens: TokenService, text: str) -> Caller | None:
    return authenticator(tokens).authenticate(Credentials({"authorization": (f"Bearer {text}",)}))


def test_a_token_is_its_user_within_its_bounds(tokens: TokenService, clock: MovableClock) -> None:
    token, text = tokens.create(ALICE, wanted(clock, "editor", "team-a"))
    assert re.fullmatch(r"pst_[a-z2-7]{12,}_[\w-]{43}", text)
    scope = TokenScope(token.token_id, Role.EDITOR, ("team-a",))
    assert identify(tokens, text) == Caller("alice", ("team-a",), Source.TOKEN, scope=scope)
    assert tokens.create(ALICE, wanted(clock))[0].role is Role.VIEWER


def test_the_secret_is_not_kept(tokens: TokenService, clock: MovableClock, tmp_path: Path) -> None:
    _, text = tokens.create(ALICE, wanted(clock))
    secret = text.split("_", 2)[2].encode()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret not in kept and b"alice" in kept


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text.upper(),
        lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"),
        lambda text: text.replace("pst_", "pst_a", 1),
        lambda text: text.replace("_", "-", 2),
        lambda text: text.split("_")[0] + "_" + "a" * 16 + "_" + text.split("_", 2)[2],
        lambda text: "pst_",
        lambda text: "pst_" + "x" * 20_000,
    ],
)
def test_what_is_nearly_a_token(tokens: TokenService, clock: MovableClock, change: object) -> None:
    _, text = tokens.create(ALICE, wanted(clock))
    changed = change(text)  # type: ignore[operator]
    if changed.startswith("pst_"):
        with pytest.raises(UnauthenticatedError, match="no such API token"):
            identify(tokens, changed)
    else:
        assert identify(tokens, changed) is None


@given(st.text())
def test_no_text_is_an_internal_error(text: str) -> None:
    parts = api_token.parse(text)
    assert parts is None or api_token.text_of(*parts) == text


def test_a_secret_is_that_of_its_token(tokens: TokenService, clock: MovableClock) -> None:
    first, second = tokens.create(ALICE, wanted(clock)), tokens.create(ALICE, wanted(clock))
    mixed = api_token.text_of(first[0].token_id, second[1].split("_", 2)[2])
    with pytest.raises(UnauthenticatedError):
        identify(tokens, mixed)


def test_a_token_ends(tokens: TokenService, clock: MovableClock) -> None:
    _, text = tokens.create(ALICE, wanted(clock, days=1))
    clock.now += DAY - 1
    assert identify(tokens, text)
    clock.now += 1
    with pytest.raises(UnauthenticatedError, match="expired"):
        identify(tokens, text)


def test_a_revoked_token_is_refused_at_once(tokens: TokenService, clock: MovableClock) -> None:
    token, text = tokens.create(ALICE, wanted(clock))
    assert identify(tokens, text)
    tokens.revoke(ALICE, token.token_id)
    with pytest.raises(UnauthenticatedError, match="revoked"):
        identify(tokens, text)


def test_a_token_that_another_server_revoked_is_refused_when_its_row_is_read_again(
    tokens: TokenService, database: Database, clock: MovableClock
) -> None:
    seconds = [100.0]
    tokens._known = Remembered(tokens._read, lambda: seconds[0])
    token, text = tokens.create(ALICE, wanted(clock))
    assert identify(tokens, text)
    TokenService(database, clock).revoke(ALICE, token.token_id)
    seconds[0] += 4.9
    assert identify(tokens, text)
    # Asked for or not, the row is read again when it is five seconds old.
    seconds[0] += 0.1
    with pytest.raises(UnauthenticatedError, match="revoked"):
        identify(tokens, text)


def test_a_proof_is_made_once(tokens: TokenService, clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens._known = Remembered(tokens._read, lambda: 100.0)
    authenticator(tokens)._proven = Kept(10, 5.0, lambda: 100.0)
    _, text = tokens.create(ALICE, wanted(clock))
    proofs = []
    prove = ApiToken.is_proven_by

    def proven(token: ApiToken, secret: str) -> bool:
        proofs.append(secret)
        return prove(token, secret)

    monkeypatch.setattr(ApiToken, "is_proven_by", proven)
    assert identify(tokens, text) == identify(tokens, text)
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    for _ in range(2):
        with pytest.raises(UnauthenticatedError, match="no such API token"):
            identify(tokens, wrong)
    assert len(proofs) == 3


def test_a_token_of_another_user_is_not_there(tokens: TokenService, clock: MovableClock) -> None:
    token, text = tokens.create(ALICE, wanted(clock))
    for caller in (Caller("bob"), Caller("Alice"), Caller("")):
        with pytest.raises(NotFoundError):
            tokens.revoke(caller, token.token_id)
        assert not tokens.list(caller, ListRequest()).items
    assert identify(tokens, text)
    tokens.revoke(Caller("root"), token.token_id, of_all_users=True)
    with pytest.raises(NotFoundError):
        tokens.revoke(ALICE, "nobody")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"expires_at": 0}, "expires_at"),
        ({"expires_at": -1}, "expires_at"),
        ({"expires_at": 1_800_000_000_000}, "expires_at"),
        ({"expires_at": 1_800_000_000_000 + MAX_MILLIS + 1}, "expires_at"),
        ({"role": "root"}, "role"),
        ({"role": "Viewer"}, "role"),
        ({"namespaces": ("",)}, "namespaces"),
        ({"namespaces": ("n" * 64,)}, "namespaces"),
        ({"namespaces": tuple(f"n{number}" for number in range(101))}, "namespaces"),
    ],
)
def test_what_cannot_be_made(tokens: TokenService, clock: MovableClock, change: dict[str, object], field: str) -> None:
    given_fields = {"name": "ci", "expires_at": clock.now + DAY, **change}
    with pytest.raises(InvalidArgumentError) as refused:
        tokens.create(ALICE, NewToken(**given_fields))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_nobody_has_no_tokens(tokens: TokenService, clock: MovableClock) -> None:
    with pytest.raises(FailedPreconditionError):
        tokens.create(Caller(""), wanted(clock))


@pytest.mark.parametrize(
    ("role", "namespaces", "days"),
    [("admin", ("a",), 10), ("editor", (), 10), ("editor", ("a", "c"), 10), ("editor", ("a",), 31)],
)
def test_a_token_makes_no_better_one(
    tokens: TokenService, clock: MovableClock, role: str, namespaces: tuple[str, ...], days: float
) -> None:
    _, text = tokens.create(ALICE, wanted(clock, "editor", "a", "b", days=30))
    caller = identify(tokens, text)
    assert caller is not None
    with pytest.raises(PermissionDeniedError):
        tokens.create(caller, wanted(clock, role, *namespaces, days=days))
    made, _ = tokens.create(caller, wanted(clock, "editor", "a", days=30))
    assert made.user == "alice" and made.groups == ("team-a",)


def test_use_is_noted_once_a_minute(
    tokens: TokenService, clock: MovableClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, text = tokens.create(ALICE, wanted(clock))
    written = []
    note = SqlTokenRepository.note_use

    def noted(repository: SqlTokenRepository, token_id: str, at: int) -> None:
        written.append(at)
        note(repository, token_id, at)

    monkeypatch.setattr(SqlTokenRepository, "note_use", noted)
    start = clock.now
    for seconds in (0, 1, 30, 59, 60, 61):
        clock.now = start + seconds * 1000
        identify(tokens, text)
    assert written == [start, start + 60_000]
    with database.reading() as uow:
        found = uow.tokens.get(token.token_id)
    assert found is not None and found.last_used_at == start + 60_000


def test_a_database_that_takes_no_writes_refuses_no_call(
    tokens: TokenService, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = tokens.create(ALICE, wanted(clock))

    def away(*_: object) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(SqlTokenRepository, "note_use", away)
    assert identify(tokens, text)


def test_tokens_are_listed_newest_first(tokens: TokenService, clock: MovableClock) -> None:
    made = []
    for _ in range(5):
        made.append(tokens.create(ALICE, wanted(clock))[0].token_id)
        clock.now += 1000
    other, _ = tokens.create(Caller("bob"), wanted(clock))
    first = tokens.list(ALICE, ListRequest(page_size=3))
    second = tokens.list(ALICE, ListRequest(page_size=3, page_token=first.next_page_token))
    assert [token.token_id for token in (*first.items, *second.items)] == made[::-1]
    everybody = tokens.list(Caller("root"), ListRequest(page_size=2), all_users=True)
    assert everybody.items[0].token_id == other.token_id and everybody.total_size == 6
    # Where a list is gone on with does not say whose it is.
    bobs = tokens.list(Caller("bob"), ListRequest(page_token=everybody.next_page_token))
    assert all(token.user == "bob" for token in bobs.items)


def test_deeds_are_in_the_audit_log(tokens: TokenService, clock: MovableClock, database: Database) -> None:
    token, text = tokens.create(ALICE, wanted(clock))
    tokens.revoke(ALICE, token.token_id)
    tokens.revoke(ALICE, token.token_id)
    with database.reading() as uow:
        lines = uow.audit.list(AuditQuery(), 10)
    assert [(line.verb, line.object_id) for line in lines] == [("delete", token.token_id), ("create", token.token_id)]
    assert text not in str(lines)


def test_a_row_that_was_read_before_it_was_forgotten_is_not_remembered() -> None:
    state = {"row": "old"}
    remembered: Remembered[str] = Remembered(lambda key: change(state["row"]))

    def change(read: str) -> str:
        if state["row"] == "old":
            state["row"] = "new"
            remembered.forget("key")
        return read

    assert remembered.get("key") == "old"
    assert remembered.get("key") == "new"
