"""Rows of `audit_events`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from penstock_server.domain.audit import AuditEvent, AuditQuery
from penstock_server.storage.tables import audit_events as table


class SqlAuditRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_many(self, events: Sequence[AuditEvent]) -> None:
        self._connection.execute(insert(table), [_values(event) for event in events])

    def list(self, query: AuditQuery, limit: int) -> Sequence[AuditEvent]:
        equal = {
            column: value
            for column in ("namespace", "user", "resource", "verb", "object_id", "result")
            if (value := getattr(query, column))
        }
        statement = select(table).filter_by(**equal).order_by(table.c.event_id.desc()).limit(limit)
        if query.since:
            statement = statement.where(table.c.at >= query.since)
        if query.until:
            statement = statement.where(table.c.at < query.until)
        if query.before:
            statement = statement.where(table.c.event_id < query.before)
        return [_event(row) for row in self._connection.execute(statement)]

    def remove_before(self, at: int, limit: int) -> int:
        oldest = select(table.c.event_id).where(table.c.at < at).order_by(table.c.event_id).limit(limit)
        ids = self._connection.execute(oldest).scalars().all()
        if not ids:
            return 0
        return self._connection.execute(delete(table).where(table.c.event_id.in_(ids))).rowcount


def _values(event: AuditEvent) -> dict[str, Any]:
    values = asdict(event)
    del values["event_id"]
    values["groups"] = json.dumps(event.groups, ensure_ascii=False)
    return values


def _event(row: Row[Any]) -> AuditEvent:
    values = {column.name: getattr(row, column.name) for column in table.c}
    values["groups"] = tuple(json.loads(values["groups"]))
    return AuditEvent(**values)
