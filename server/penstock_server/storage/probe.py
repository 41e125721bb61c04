"""Checks whether a database can be written to.

Why it also writes a file beside SQLite's: SQLite reuses the space of its WAL file, so a small commit succeeds on a full
disk.

Invariants: no table is changed; another writer is waited for a second at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

_BUSY_MILLIS = 1000
_PROBED_BYTES = 64 * 1024


def write_problem(engine: Engine, writer: Lock, wrote_at: Callable[[], float]) -> str:
    """Why the database cannot be written to, empty when it can. On SQLite every writer of this process holds `writer`;
    `wrote_at()` is when the last one succeeded, on the monotonic clock.

    Raises the driver's errors when the database cannot be reached.
    """
    if engine.dialect.name != "sqlite":
        return _read_only(engine)
    reason = _directory_problem(engine.url.database or "")
    if reason:
        return reason
    began = time.monotonic()
    if not writer.acquire(timeout=_BUSY_MILLIS / 1000):
        # A write of another thread meanwhile proves as much as one of this thread.
        return "" if wrote_at() >= began else "it cannot be written to: a writer has held it for a second"
    try:
        return _sqlite_problem(engine)
    finally:
        writer.release()


def _directory_problem(database: str) -> str:
    if not database or database == ":memory:":
        return ""
    probe = Path(f"{database}-probe")
    try:
        try:
            # Random bytes, which a file system cannot compress.
            probe.write_bytes(os.urandom(_PROBED_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return f"its directory cannot be written to: {error.strerror or error}"
    return ""


def _sqlite_problem(engine: Engine) -> str:
    with engine.execution_options(penstock_writing=True).connect() as connection:
        driver: Any = connection.connection.driver_connection
        busy_timeout = driver.execute("PRAGMA busy_timeout").fetchone()[0]
        driver.execute(f"PRAGMA busy_timeout={_BUSY_MILLIS}")
        try:
            with connection.begin():
                # A number in the file's header that is used for nothing else.
                connection.exec_driver_sql("PRAGMA user_version=1")
        except DBAPIError as error:
            return f"it cannot be written to: {error.orig}"
        finally:
            driver.execute(f"PRAGMA busy_timeout={busy_timeout}")
    return ""


def _read_only(engine: Engine) -> str:
    """Whether the server is a replica or set to read-only. Its disk is not checked."""
    query = "SHOW transaction_read_only" if engine.dialect.name == "postgresql" else "SELECT @@global.read_only"
    with engine.connect() as connection:
        value = connection.exec_driver_sql(query).scalar()
    # Newer MariaDB releases return words for several kinds of read-only.
    return "" if str(value).lower() in ("off", "0") else "it takes no writes: it is read-only"
