"""How connections are made: drivers, time-outs, pools, and what SQLite needs to be told.

SQLite runs in WAL mode with synchronous=NORMAL: a commit survives the death of the process (kill -9), which is what a
laptop needs; a power failure may lose the last commits but never corrupts. Writers take the lock when they begin.

Invariants: nothing waits for ever, not for a connection, not for a lock, not for a statement, but for one connection at
a time that changes the schema; what the driver throws because the database is away comes out as UnavailableError.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from penstock_server.errors import AlreadyExistsError, InvalidArgumentError, UnavailableError

_BUSY_MILLIS = 15_000
# Used when a URL names a database and no driver.
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_MYSQL = {"connect_timeout": 5, "read_timeout": 60, "write_timeout": 60, "charset": "utf8mb4"}
_CONNECT: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 5,
        # A server that is gone without a word is noticed when nothing comes back for a while.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "options": "-c statement_timeout=60000 -c lock_timeout=15000",
    },
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
_A_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Connections to a database server; SQLite's are files. Times in seconds.

    `size` are kept, `overflow` more are made when they are all in use; `wait` is for a free one; older ones than
    `recycle` are replaced, which has to happen before a proxy on the way closes them; `pre_ping` asks a connection
    whether it still lives before it is used.
    """

    size: int = 16
    overflow: int = 32
    wait: float = 10.0
    recycle: int = 1800
    pre_ping: bool = True


DEFAULT_POOL = PoolSettings()


def open_engine(url: str, pool: PoolSettings) -> Engine:
    """Of SQLite, PostgreSQL, MySQL or MariaDB; for a file of SQLite its directory is made. Connects to nothing yet.

    Raises InvalidArgumentError for what is no URL of one of them.
    """
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = sqlalchemy.create_engine(parsed, pool_size=pool.size, max_overflow=pool.overflow)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return sqlalchemy.create_engine(
        parsed,
        # MariaDB's own default would show a writer what was there when it began, not what it is about to change.
        isolation_level="READ COMMITTED",
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_pre_ping=pool.pre_ping,
        pool_recycle=pool.recycle,
        connect_args=_CONNECT.get(backend, {}),
    )


def open_schema_engine(url: str) -> Engine:
    """For changes of the schema, which may take long. SQLite's keys are off: a table that is rebuilt is dropped first,
    and its rows' dependents with it otherwise."""
    parsed = _parsed(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        engine = sqlalchemy.create_engine(parsed, poolclass=NullPool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "connect", _forget_sqlite_keys)
        event.listen(engine, "begin", _begin_sqlite)
        return engine.execution_options(penstock_writing=True)
    connect = dict(_CONNECT.get(backend, {}))
    if backend == "postgresql":
        connect["options"] = "-c statement_timeout=0 -c lock_timeout=0"
    else:
        connect["read_timeout"] = connect["write_timeout"] = _A_DAY
        # A change that waits for a table keeps everybody else from it, too.
        connect["init_command"] = "SET SESSION lock_wait_timeout = 15"
    return sqlalchemy.create_engine(parsed, isolation_level="READ COMMITTED", poolclass=NullPool, connect_args=connect)


@contextmanager
def translated() -> Iterator[None]:
    """Raises AlreadyExistsError, UnavailableError for what the driver raises."""
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


def _parsed(url: str) -> sqlalchemy.URL:
    """Raises InvalidArgumentError."""
    try:
        parsed = sqlalchemy.make_url(url)
    except ArgumentError as error:
        raise InvalidArgumentError("this is no URL of a database") from error
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
    # The driver must not begin transactions by itself: it would begin them late and without the write lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLIS}")
    _switch_to_wal(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """Waits for whoever does the same. Where several open a new database at once, SQLite tells all but one at once that
    it is locked, whatever the busy timeout: in the middle of the switch it does not wait.
    """
    until = time.monotonic() + _BUSY_MILLIS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - so that they do not meet again


def _forget_sqlite_keys(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("penstock_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
