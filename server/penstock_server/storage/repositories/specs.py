"""Rows of `specs`: documents by their hash."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from penstock_server.domain.pipeline import Spec
from penstock_server.storage.tables import specs as table
from penstock_server.storage.upsert import insert_missing

# Made once: every new run asks both.
_STORED = select(table.c.spec_hash).where(table.c.spec_hash == bindparam("the_hash"))
_GET = select(table).where(table.c.spec_hash == bindparam("the_hash"))


class SqlSpecRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, spec: Spec) -> None:
        """Stores a document unless it is stored already."""
        if self._connection.execute(_STORED, {"the_hash": spec.spec_hash}).first() is None:
            row = {
                "spec_hash": spec.spec_hash,
                "pipeline_spec": spec.pipeline_spec,
                "platform_spec": spec.platform_spec,
            }
            insert_missing(self._connection, table, [row])

    def get(self, spec_hash: str) -> Spec | None:
        row = self._connection.execute(_GET, {"the_hash": spec_hash}).first()
        return Spec(row.spec_hash, row.pipeline_spec, row.platform_spec) if row else None
