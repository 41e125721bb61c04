"""Locks between programs on several machines, in the database that they share.

Invariant: a lock ends with its connection, so a program that dies cannot keep it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from penstock_server.storage.engine import database_errors, open_schema_engine

log = logging.getLogger(__name__)

_TRY_SECONDS = 20


@contextmanager
def exclusive(connection: Connection, purpose: str) -> Iterator[None]:
    """A transaction that holds the lock for `purpose` in this database; waits for it."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        # A write transaction of SQLite excludes all other writers.
        with connection.begin():
            yield
    elif dialect == "postgresql":
        with connection.begin():
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:purpose, 0))"), {"purpose": purpose}
            )
            yield
    else:
        # DDL commits implicitly, so the lock belongs to the connection; its name contains the database, since it is
        # global.
        name = {"purpose": f"penstock {purpose} "}
        acquire = text(f"SELECT GET_LOCK(LEFT(CONCAT(:purpose, DATABASE()), 64), {_TRY_SECONDS})")
        while connection.execute(acquire, name).scalar() != 1:
            log.info("waiting for another program: %s", purpose)
        connection.commit()
        with connection.begin():
            yield
        connection.execute(text("SELECT RELEASE_LOCK(LEFT(CONCAT(:purpose, DATABASE()), 64))"), name)
        connection.commit()


@contextmanager
def exclusive_on(url: str, purpose: str) -> Iterator[None]:
    """Like `exclusive`, for work over other connections; no lock on SQLite, which locks by itself.

    Raises UnavailableError.
    """
    if url.startswith("sqlite"):
        yield
        return
    engine = open_schema_engine(url)
    try:
        with database_errors():
            connection = engine.connect()
        with connection, exclusive(connection, purpose):
            yield
    finally:
        engine.dispose()
