"""Creates engines: drivers, timeouts, pools, and SQLite's pragmas.

SQLite runs in WAL mode with synchronous=NORMAL: a commit survives the death of the process (kill -9), which is what a
laptop needs; a power failure may lose the last commits but never corrupts. Writers take the lock at BEGIN.

Invariants: waits for connections, locks and statements have timeouts, except on the one connection that migrates the
schema; a program that stands still in a transaction, with its connections open, loses its locks to the others within
seconds; errors of the driver for a database that cannot be reached become UnavailableError. No error shows a password
or what is in a row: neither the URL, whatever is wrong with it, nor the values of a statement.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool
from tenacity import before_sleep_log, retry, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random

from penstock_server.errors import AlreadyExistsError, InvalidArgumentError, UnavailableError
from penstock_server.storage.pool import PoolSettings

log = logging.getLogger(__name__)

_BUSY_MILLIS = 15_000
# Used when a URL names a database and no driver.
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_STANDS_STILL_SECONDS = 10
"""How long a transaction may wait for its program before the database ends it: a suspended server holds no run."""
_MYSQL = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "write_timeout": 60,
    "charset": "utf8mb4",
    # What follows /*M! is read by MariaDB alone: MySQL has no such limit.
    "init_command": f"SET SESSION innodb_lock_wait_timeout = 15 /*M! , idle_transaction_timeout = "
    f"{_STANDS_STILL_SECONDS} */",
}
_CONNECT: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 5,
        # A server that disappears without closing the connection is noticed by keepalives.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "options": "-c statement_timeout=60000 -c lock_timeout=15000 "
        f"-c idle_in_transaction_session_timeout={_STANDS_STILL_SECONDS}s",
    },
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
_A_DAY = 24 * 3600
SCHEMA_LOCK_SECONDS = 5
"""How long a change of the schema waits for a table, at a time: all who come after it wait with it."""
_LOST_A_LOCK = frozenset({"40P01", "55P03", 1205, 1213})
"""Deadlock, and the end of a wait for a lock: SQLSTATE of PostgreSQL, numbers of MySQL."""
_NO_URL = (
    "this is no URL of a database; in user and password, characters such as @ : / # are written as %40 %3A %2F %23"
)


def open_engine(url: str, pool: PoolSettings) -> Engine:
    """An engine for SQLite, PostgreSQL, MySQL or MariaDB, not yet connected. Creates the directory of an SQLite file.

    Raises InvalidArgumentError for other URLs.
    """
    parsed = _parse_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = sqlalchemy.create_engine(parsed, pool_size=pool.size, max_overflow=pool.overflow, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return sqlalchemy.create_engine(
        parsed,
        # With MariaDB's default, REPEATABLE READ, a writer would read old versions of the rows that it changes.
        isolation_level="READ COMMITTED",
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_pre_ping=pool.pre_ping,
        pool_recycle=pool.recycle,
        connect_args=_CONNECT.get(backend, {}),
        hide_parameters=True,
    )


def open_schema_engine(url: str) -> Engine:
    """An engine for migrations, which may take long. SQLite's foreign keys are off, since rebuilding a table drops it
    first, which would delete the rows that refer to it.
    """
    parsed = _parse_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = sqlalchemy.create_engine(parsed, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "connect", _disable_foreign_keys)
        event.listen(engine, "begin", _begin_sqlite)
        return engine.execution_options(penstock_writing=True)
    connect = dict(_CONNECT.get(backend, {}))
    if backend == "postgresql":
        connect["options"] = "-c statement_timeout=0 -c lock_timeout=0"
    else:
        connect["read_timeout"] = connect["write_timeout"] = _A_DAY
        # For a table's definition, and for rows of it.
        waits = ("lock_wait_timeout", "innodb_lock_wait_timeout")
        connect["init_command"] = "SET SESSION " + ", ".join(f"{one} = {SCHEMA_LOCK_SECONDS}" for one in waits)
    engine = sqlalchemy.create_engine(
        parsed, isolation_level="READ COMMITTED", poolclass=NullPool, connect_args=connect, hide_parameters=True
    )
    if backend != "postgresql":
        event.listen(engine, "do_execute", _repeat_a_change)
    return engine


@contextmanager
def database_errors() -> Iterator[None]:
    """Turns errors of the driver into AlreadyExistsError and UnavailableError."""
    try:
        yield
    except IntegrityError as error:
        raise AlreadyExistsError("a resource of that name exists already. Please specify a new name") from error
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise UnavailableError("the database does not answer; try again") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError("the connection to the database was lost; try again") from error
        raise


def gave_way(error: BaseException) -> bool:
    """Whether a statement failed since another transaction held a lock: made again, it succeeds."""
    found = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return not _LOST_A_LOCK.isdisjoint((getattr(found, "sqlstate", None), *found.args[:1]))


def _parse_url(url: str) -> sqlalchemy.URL:
    """Raises InvalidArgumentError."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        # Not `from`: what is quoted as a wrong port may be a part of the password.
        raise InvalidArgumentError(_NO_URL) from None
    if "@" in (parsed.host or ""):
        raise InvalidArgumentError(_NO_URL)
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", *_DRIVERS):
        raise InvalidArgumentError(f"{backend}:// is no database that can be used: sqlite, postgresql, mysql, mariadb")
    if parsed.drivername == backend and backend in _DRIVERS:
        parsed = parsed.set(drivername=f"{backend}+{_DRIVERS[backend]}")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return parsed


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Otherwise the driver begins transactions itself, late and without the write lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLIS}")
    _switch_to_wal(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


@retry(
    retry=retry_if_exception(_is_locked),
    wait=wait_random(0.001, 0.02),
    stop=stop_after_delay(_BUSY_MILLIS / 1000),
    reraise=True,
)
def _switch_to_wal(cursor: Any) -> None:
    """Retries while another connection switches. When several open a new database at once, SQLite reports it as locked
    to all but one immediately: during the switch it ignores the busy timeout.
    """
    cursor.execute("PRAGMA journal_mode=WAL")


@retry(
    retry=retry_if_exception(gave_way),
    wait=wait_random(0.1, 2),
    stop=stop_after_attempt(12),
    before_sleep=before_sleep_log(log, logging.INFO),
    reraise=True,
)
def _repeat_a_change(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
    """On MySQL and MariaDB each change of a table commits: what is done before it would not be done again."""
    if statement.split(maxsplit=1)[0].upper() not in ("ALTER", "CREATE", "DROP"):
        return False
    cursor.execute(statement, parameters)
    return True


def _disable_foreign_keys(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("penstock_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
