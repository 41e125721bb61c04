"""Connections to SQLite."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from penstock_server.errors import UnavailableError
from penstock_server.storage.engine import _switch_to_wal, database_errors, open_engine
from penstock_server.storage.pool import DEFAULT_POOL

_AT_ONCE, _ROUNDS = 6, 50


def test_a_new_database_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """One of them switches it to WAL; SQLite tells the others that it is locked, and does not wait."""
    together = Barrier(_AT_ONCE)

    def mode(url: str) -> str:
        engine = open_engine(url, DEFAULT_POOL)
        together.wait(60)
        with database_errors(), engine.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
        engine.dispose()
        return found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number in range(_ROUNDS):
            url = f"sqlite:///{tmp_path}/{number}.db"
            assert [*pool.map(mode, [url] * _AT_ONCE)] == ["wal"] * _AT_ONCE


def test_what_is_no_database_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path}/directory", DEFAULT_POOL)
    with pytest.raises(UnavailableError), database_errors(), engine.connect():
        pass
    engine.dispose()


class Cursor:
    """Fails with each of these messages in turn, then succeeds."""

    def __init__(self, *messages: str) -> None:
        self._messages = list(messages)
        self.executed: list[str] = []

    def execute(self, statement: str) -> None:
        self.executed.append(statement)
        if self._messages:
            raise sqlite3.OperationalError(self._messages.pop(0))


def test_the_switch_to_wal_is_retried_while_the_database_is_locked() -> None:
    cursor = Cursor("database is locked", "database is locked")
    _switch_to_wal(cursor)
    assert cursor.executed == ["PRAGMA journal_mode=WAL"] * 3


def test_another_error_of_the_switch_to_wal_is_raised_as_it_was() -> None:
    cursor = Cursor("database is locked", "disk I/O error", "database is locked")
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        _switch_to_wal(cursor)
    assert len(cursor.executed) == 2
