"""Rows of `executors`.

Invariant: when one was seen is for the database's clock to say, which all servers share.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, literal, select

from penstock_server.domain.executors import ConnectedExecutor, ExecutorStatus
from penstock_server.storage.clock import now_millis
from penstock_server.storage.tables import executors as table
from penstock_server.storage.tables import runs
from penstock_server.storage.upsert import upsert


class SqlExecutorRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def saw(self, owner: str, status: ExecutorStatus) -> None:
        now = self._connection.execute(select(now_millis())).scalar_one()
        row = {
            "owner": owner,
            "backend": status.backend,
            "version": status.version,
            "places": status.places,
            "open_attempts": status.open_attempts,
            "seen_at": now,
        }
        upsert(self._connection, table, [row])

    def forget(self, owner: str) -> None:
        self._connection.execute(delete(table).where(table.c.owner == owner))

    def forget_unseen(self, millis: int) -> None:
        """Those that were not seen for so long."""
        self._connection.execute(delete(table).where(table.c.seen_at < now_millis() - literal(millis)))

    def connected(self, millis: int, limit: int) -> list[ConnectedExecutor]:
        """Those seen within so many milliseconds, by owner."""
        held = (
            select(runs.c.lease_owner, func.count().label("number"))
            .where(runs.c.claimable.is_(True), runs.c.lease_expires_at > now_millis())
            .group_by(runs.c.lease_owner)
            .subquery()
        )
        statement = (
            select(table, func.coalesce(held.c.number, 0).label("held_runs"))
            .outerjoin(held, held.c.lease_owner == table.c.owner)
            .where(table.c.seen_at >= now_millis() - literal(millis))
            .order_by(table.c.owner)
            .limit(limit)
        )
        return [
            ConnectedExecutor(
                row.owner,
                ExecutorStatus(row.backend, row.version, row.places, row.open_attempts),
                row.held_runs,
                row.seen_at,
            )
            for row in self._connection.execute(statement)
        ]
