"""Rows of `sessions`."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, insert, select

from penstock_server.domain.session import Session
from penstock_server.storage.tables import sessions as table


class SqlSessionRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: Session) -> None:
        values = {
            "id_hash": session.id_hash,
            "user": session.user,
            "groups": json.dumps(session.groups),
            "created_at": session.created_at,
            "expires_at": session.expires_at,
        }
        self._connection.execute(insert(table).values(values))

    def get(self, id_hash: str) -> Session | None:
        row = self._connection.execute(select(table).where(table.c.id_hash == id_hash)).first()
        if row is None:
            return None
        return Session(row.id_hash, row.user, tuple(json.loads(row.groups)), row.created_at, row.expires_at)

    def delete(self, id_hash: str) -> bool:
        return self._connection.execute(delete(table).where(table.c.id_hash == id_hash)).rowcount > 0

    def delete_ended(self, at: int) -> int:
        return self._connection.execute(delete(table).where(table.c.expires_at <= at)).rowcount
