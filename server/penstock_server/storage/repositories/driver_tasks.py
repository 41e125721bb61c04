"""Rows of `driver_tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, insert

from penstock_server.domain.listing import ListQuery
from penstock_server.domain.task import DriverTask
from penstock_server.storage.listing import page
from penstock_server.storage.tables import driver_tasks as table


class SqlDriverTaskRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, task: DriverTask) -> None:
        self._connection.execute(insert(table).values(**asdict(task)))

    def list(self, query: ListQuery) -> tuple[Sequence[DriverTask], int, str]:
        rows, total, token = page(self._connection, query, table, table.c.task_id)
        return (
            [DriverTask(**{column.name: getattr(row, column.name) for column in table.c}) for row in rows],
            total,
            token,
        )
