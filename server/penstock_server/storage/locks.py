"""Locks that programs on several machines share: in the database they work on.

Invariant: a lock ends with its connection, so nobody can die and keep it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from penstock_server.storage.engine import open_schema_engine, translated

log = logging.getLogger(__name__)

_TRY_SECONDS = 20


@contextmanager
def alone(connection: Connection, what: str) -> Iterator[None]:
    """A transaction during which nobody else on this database does `what`; waits for its turn."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        # Its transaction is the lock.
        with connection.begin():
            yield
    elif dialect == "postgresql":
        with connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"), {"what": what})
            yield
    else:
        # Changes of the schema end transactions, so the lock is the connection's; of this database, not of the server.
        name = {"what": f"penstock {what} "}
        take = text(f"SELECT GET_LOCK(LEFT(CONCAT(:what, DATABASE()), 64), {_TRY_SECONDS})")
        while connection.execute(take, name).scalar() != 1:
            log.info("waiting for another program: %s", what)
        connection.commit()
        with connection.begin():
            yield
        connection.execute(text("SELECT RELEASE_LOCK(LEFT(CONCAT(:what, DATABASE()), 64))"), name)
        connection.commit()


@contextmanager
def alone_on(url: str, what: str) -> Iterator[None]:
    """The same, for what is done over other connections; nothing on SQLite, which locks by itself.

    Raises UnavailableError.
    """
    if url.startswith("sqlite"):
        yield
        return
    engine = open_schema_engine(url)
    try:
        with translated():
            connection = engine.connect()
        with connection, alone(connection, what):
            yield
    finally:
        engine.dispose()
