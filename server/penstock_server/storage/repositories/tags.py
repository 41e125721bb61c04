"""Tags of pipelines and versions, whose tables have the same columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, delete, insert, select


def replace_tags(connection: Connection, table: Table, owner: str, identifier: str, tags: Mapping[str, str]) -> None:
    """Replaces all tags of the owner."""
    connection.execute(delete(table).where(table.c[owner] == identifier))
    rows = [{owner: identifier, "tag_key": key, "tag_value": value} for key, value in tags.items()]
    if rows:
        connection.execute(insert(table), rows)


def tags_of(connection: Connection, table: Table, owner: str, identifiers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tags of many owners in one statement."""
    tags_by_owner: dict[str, dict[str, str]] = {identifier: {} for identifier in identifiers}
    if identifiers:
        for row in connection.execute(_of_owners(table, owner), {"owners": identifiers}):
            tags_by_owner[row._mapping[owner]][row.tag_key] = row.tag_value
    return tags_by_owner


@cache
def _of_owners(table: Table, owner: str) -> Select[Any]:
    """Made once for each table: every new run reads the tags of its version."""
    return select(table).where(table.c[owner].in_(bindparam("owners", expanding=True))).order_by(table.c.tag_key)
