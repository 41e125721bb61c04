"""Rows of `specs`: documents by their hash."""

from __future__ import annotations

from sqlalchemy import Connection, select

from penstock_server.domain.pipeline import Spec
from penstock_server.storage.tables import specs as table
from penstock_server.storage.upsert import insert_missing


class SqlSpecRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, spec: Spec) -> None:
        """Stores a document unless it is stored already."""
        existing = select(table.c.spec_hash).where(table.c.spec_hash == spec.spec_hash)
        if self._connection.execute(existing).first() is None:
            row = {
                "spec_hash": spec.spec_hash,
                "pipeline_spec": spec.pipeline_spec,
                "platform_spec": spec.platform_spec,
            }
            insert_missing(self._connection, table, [row])

    def get(self, spec_hash: str) -> Spec | None:
        row = self._connection.execute(select(table).where(table.c.spec_hash == spec_hash)).first()
        return Spec(row.spec_hash, row.pipeline_spec, row.platform_spec) if row else None
