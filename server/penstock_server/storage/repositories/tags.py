"""Tags of pipelines and versions, whose tables have the same columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, delete, insert, select


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
        statement = select(table).where(table.c[owner].in_(identifiers)).order_by(table.c.tag_key)
        for row in connection.execute(statement):
            tags_by_owner[row._mapping[owner]][row.tag_key] = row.tag_value
    return tags_by_owner
