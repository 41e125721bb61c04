"""Rows of `recurring_runs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, delete, insert, select, tuple_, update

from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.parts import NONE, Fields
from penstock_server.domain.schedule import Schedule, Trigger
from penstock_server.storage.listing import page
from penstock_server.storage.tables import recurring_runs as table

_TRIGGER = ("cron", "interval_seconds", "start_at", "end_at")
# Everything else that is left out is None.
_LEFT_OUT = {"submitted_spec": "", "parameters": "{}"}
_COLUMNS = [column.name for column in table.c if column.name not in _TRIGGER]


class SqlScheduleRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, schedule: Schedule) -> None:
        values = {name: getattr(schedule, name) for name in _COLUMNS}
        values.update({name: getattr(schedule.trigger, name) for name in _TRIGGER})
        self._connection.execute(insert(table).values(**values))

    def get(self, recurring_run_id: str, without: Fields = NONE) -> Schedule | None:
        statement = select(*_columns(without)).where(table.c.recurring_run_id == recurring_run_id)
        row = self._connection.execute(statement).first()
        return _schedule(row) if row else None

    def list(self, query: ListQuery, without: Fields = NONE) -> Page[Schedule]:
        found = page(
            self._connection,
            query,
            table,
            table.c.recurring_run_id,
            columns=_columns(without),
            parent=table.c.experiment_id,
        )
        return found.with_items([_schedule(row) for row in found.items])

    def due(self, now: int, limit: int, after: tuple[int, str]) -> Sequence[Schedule]:
        """Enabled schedules that are due, the earliest first; only those behind `after`, (next fire, id)."""
        statement = (
            select(table)
            .where(table.c.enabled.is_(True), table.c.next_fire_at != 0, table.c.next_fire_at <= now)
            .where(tuple_(table.c.next_fire_at, table.c.recurring_run_id) > tuple_(*after))
            .order_by(table.c.next_fire_at, table.c.recurring_run_id)
            .limit(limit)
        )
        return [_schedule(row) for row in self._connection.execute(statement)]

    def advance(self, seen: Schedule, advanced: Schedule) -> bool:
        """Compare-and-set: writes a fire unless the schedule has changed since `seen` was read."""
        statement = (
            update(table)
            .where(
                table.c.recurring_run_id == seen.recurring_run_id,
                table.c.enabled.is_(True),
                table.c.fires == seen.fires,
                table.c.next_fire_at == seen.next_fire_at,
            )
            .values(
                fires=advanced.fires,
                last_fired_at=advanced.last_fired_at,
                next_fire_at=advanced.next_fire_at,
                error=advanced.error,
            )
        )
        return self._connection.execute(statement).rowcount == 1

    def set_enabled(self, recurring_run_id: str, enabled: bool, at: int) -> None:
        self._connection.execute(
            update(table).where(table.c.recurring_run_id == recurring_run_id).values(enabled=enabled, updated_at=at)
        )

    def disable_of_experiment(self, experiment_id: str, at: int) -> None:
        self._connection.execute(
            update(table)
            .where(table.c.experiment_id == experiment_id, table.c.enabled.is_(True))
            .values(enabled=False, updated_at=at)
        )

    def delete(self, recurring_run_id: str) -> bool:
        statement = delete(table).where(table.c.recurring_run_id == recurring_run_id)
        return self._connection.execute(statement).rowcount > 0


def _columns(without: Fields) -> Sequence[Column[Any]]:
    return [column for column in table.c if column.name not in without]


def _schedule(row: Row[Any]) -> Schedule:
    read = row._mapping
    values = {column.name: read.get(column.name, _LEFT_OUT.get(column.name)) for column in table.c}
    trigger = Trigger(**{name: values.pop(name) for name in _TRIGGER})
    return Schedule(**values, trigger=trigger)
