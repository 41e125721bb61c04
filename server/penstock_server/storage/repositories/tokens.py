"""Rows of `api_tokens`."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from penstock_server.domain.api_token import ApiToken
from penstock_server.domain.caller import Role
from penstock_server.domain.listing import ListQuery, Page
from penstock_server.storage.listing import page
from penstock_server.storage.tables import api_tokens as table


class SqlTokenRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, token: ApiToken) -> None:
        values = {
            "token_id": token.token_id,
            "name": token.name,
            "user": token.user,
            "groups": json.dumps(token.groups),
            "role": token.role.value,
            "namespaces": json.dumps(token.namespaces),
            "secret_hash": token.secret_hash,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "last_used_at": token.last_used_at,
            "revoked_at": token.revoked_at,
        }
        self._connection.execute(insert(table).values(values))

    def get(self, token_id: str) -> ApiToken | None:
        row = self._connection.execute(select(table).where(table.c.token_id == token_id)).first()
        return _token(row) if row else None

    def list(self, query: ListQuery, user: str | None) -> Page[ApiToken]:
        where = [] if user is None else [table.c.user == user]
        found = page(self._connection, query, table, table.c.token_id, where=where)
        return found.with_items([_token(row) for row in found.items])

    def revoke(self, token_id: str, at: int) -> bool:
        statement = update(table).where(table.c.token_id == token_id, table.c.revoked_at == 0).values(revoked_at=at)
        return self._connection.execute(statement).rowcount > 0

    def note_use(self, token_id: str, at: int) -> None:
        statement = update(table).where(table.c.token_id == token_id, table.c.last_used_at < at)
        self._connection.execute(statement.values(last_used_at=at))


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        token_id=row.token_id,
        name=row.name,
        user=row.user,
        groups=tuple(json.loads(row.groups)),
        role=Role(row.role),
        namespaces=tuple(json.loads(row.namespaces)),
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
