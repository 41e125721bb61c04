"""Database connections that break, run out or cannot be opened, on PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from penstock_server.errors import InvalidArgumentError, UnavailableError
from penstock_server.storage.database import Database
from penstock_server.storage.pool import DEFAULT_POOL, PoolSettings
from sqlalchemy import text

OTHERS = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist "
    "WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
Opens = Callable[[PoolSettings], Database]


@pytest.fixture(params=["postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{kind}_url")
    return found


@pytest.fixture
def opens(url: str) -> Iterator[Opens]:
    opened: list[Database] = []

    def open_(pool: PoolSettings) -> Database:
        opened.append(Database(url, pool))
        return opened[-1]

    Database(url).migrate()
    yield open_
    for one in opened:
        one.dispose()


def break_connections(kind: str, database: Database) -> None:
    """The server closes every connection to this database but the one that asks for it."""
    with database.engine.connect() as connection:
        rows = connection.execute(text(OTHERS[kind])).scalars().all()
        if kind == "mariadb":
            for command in rows:
                connection.execute(text(command))
    assert rows


def test_a_connection_that_broke_is_replaced_before_it_is_used(kind: str, opens: Opens) -> None:
    database, breaker = opens(DEFAULT_POOL), opens(DEFAULT_POOL)
    for _ in range(3):
        with database.reading() as uow:
            assert uow.queue.depth() == (0, 0)
        break_connections(kind, breaker)
    with database.writing() as uow:
        assert list(uow.queue.held_by("a/1")) == []


def test_without_asking_first_one_call_hears_of_it(kind: str, opens: Opens) -> None:
    database, breaker = opens(replace(DEFAULT_POOL, pre_ping=False)), opens(DEFAULT_POOL)
    with database.reading() as uow:
        uow.queue.depth()
    break_connections(kind, breaker)
    with pytest.raises(UnavailableError), database.reading() as uow:
        uow.queue.depth()
    with database.reading() as uow:
        assert uow.queue.depth() == (0, 0)


def test_a_connection_that_breaks_in_a_transaction_undoes_it(kind: str, opens: Opens) -> None:
    database, breaker = opens(DEFAULT_POOL), opens(DEFAULT_POOL)
    with pytest.raises(UnavailableError), database.writing() as uow:
        uow.queue.depth()
        break_connections(kind, breaker)
        uow.queue.depth()
    with database.writing() as uow:
        assert uow.queue.depth() == (0, 0)


def test_who_finds_no_free_connection_is_told_to_come_again(opens: Opens) -> None:
    database = opens(PoolSettings(size=1, overflow=0, wait=0.1))
    with database.reading() as uow:
        with pytest.raises(UnavailableError), database.reading():
            pass
        assert uow.queue.depth() == (0, 0)
    with database.reading() as uow:
        assert uow.queue.depth() == (0, 0)


@pytest.mark.parametrize("url", ["nonsense", "oracle://a@b/c"])
def test_what_is_no_database(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="database"):
        Database(url)
