"""Whether a database takes writes: what reading from it does not tell.

Why a file besides: SQLite writes over what its log holds already, so a small commit succeeds on a disk that is full.

Invariants: nothing of the schema is touched, and a writer in the way is waited for a second at most.
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


def unwritable(engine: Engine, writer: Lock, wrote_at: Callable[[], float]) -> str:
    """Why nothing can be written, empty when it can. On SQLite `writer` is held by whoever of this process writes;
    `wrote_at` gives when the last of them succeeded, by the monotonic clock.

    Raises what the driver raises when the database is away.
    """
    if engine.dialect.name != "sqlite":
        return _read_only(engine)
    found = _file_trouble(engine.url.database or "")
    if found:
        return found
    began = time.monotonic()
    if not writer.acquire(timeout=_BUSY_MILLIS / 1000):
        # Others that were served meanwhile prove as much as a turn of our own.
        return "" if wrote_at() >= began else "it cannot be written to: a writer has held it for a second"
    try:
        return _sqlite_trouble(engine)
    finally:
        writer.release()


def _file_trouble(database: str) -> str:
    if not database or database == ":memory:":
        return ""
    probe = Path(f"{database}-probe")
    try:
        try:
            # Nothing that a file system could make smaller.
            probe.write_bytes(os.urandom(_PROBED_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return f"its directory cannot be written to: {error.strerror or error}"
    return ""


def _sqlite_trouble(engine: Engine) -> str:
    with engine.execution_options(penstock_writing=True).connect() as connection:
        driver: Any = connection.connection.driver_connection
        waits = driver.execute("PRAGMA busy_timeout").fetchone()[0]
        driver.execute(f"PRAGMA busy_timeout={_BUSY_MILLIS}")
        try:
            with connection.begin():
                # A number in the file's head that we use for nothing else.
                connection.exec_driver_sql("PRAGMA user_version=1")
        except DBAPIError as error:
            return f"it cannot be written to: {error.orig}"
        finally:
            driver.execute(f"PRAGMA busy_timeout={waits}")
    return ""


def _read_only(engine: Engine) -> str:
    """A replica, or a server that was told to take no writes; its disk is its own affair."""
    asked = "SHOW transaction_read_only" if engine.dialect.name == "postgresql" else "SELECT @@global.read_only"
    with engine.connect() as connection:
        found = connection.exec_driver_sql(asked).scalar()
    # Newer MariaDB has words for several ways to refuse writes.
    return "" if str(found).lower() in ("off", "0") else "it takes no writes: it is read-only"
