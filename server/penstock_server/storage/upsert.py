"""Upserts of many rows on every database.

Invariant: the statement is the dialect's own upsert, so a batch costs one round trip, however many of its rows exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, func, literal_column
from sqlalchemy.dialects import mysql


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    keep: Sequence[str] = (),
    merge: bool = False,
) -> None:
    """Inserts rows; if a key exists, updates every column except the key's and those in `keep`.

    With `merge`, what is empty (NULL; 0 or an empty text where a column takes no NULL) leaves the value that is there.
    """
    if not rows:
        return
    statement = _statement(table, connection.dialect.name, tuple(rows[0]), tuple(keep), merge)
    connection.execute(statement, list(rows))


@lru_cache(maxsize=64)
def _statement(table: Table, dialect: str, columns: tuple[str, ...], keep: tuple[str, ...], merge: bool) -> Any:
    keys = [column.name for column in table.primary_key.columns]
    changing = [table.c[name] for name in columns if name not in keys and name not in keep]
    value = _merged if merge else _replaced
    if dialect in ("mysql", "mariadb"):
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update({one.name: value(insert.inserted[one.name], one) for one in changing})
    plain = _insert(table, dialect)
    return plain.on_conflict_do_update(
        index_elements=keys, set_={one.name: value(plain.excluded[one.name], one) for one in changing}
    )


def _insert(table: Table, dialect: str) -> Any:
    """That of PostgreSQL or SQLite; imported here, since PostgreSQL's drivers cost every start of a server."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def _replaced(new: ColumnElement[Any], old: Column[Any]) -> ColumnElement[Any]:
    return new


def _merged(new: ColumnElement[Any], old: Column[Any]) -> ColumnElement[Any]:
    if not old.nullable:
        # Written out, because a batch of MySQL's driver has parameters in its rows alone.
        new = func.nullif(new, literal_column("0" if old.type.python_type is int else "''"))
    return func.coalesce(new, old)


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts the rows whose keys do not exist."""
    if not rows:
        return
    name = connection.dialect.name
    if name in ("mysql", "mariadb"):
        # Not IGNORE, which would take other errors for rows that exist.
        key = table.primary_key.columns[0]
        statement: Any = mysql.insert(table).on_duplicate_key_update({key.name: key})
    else:
        statement = _insert(table, name).on_conflict_do_nothing()
    connection.execute(statement, list(rows))
