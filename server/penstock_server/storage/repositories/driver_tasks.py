"""Rows of `driver_tasks`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert

from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.task import DriverTask
from penstock_server.storage.listing import page
from penstock_server.storage.tables import driver_tasks as table


class SqlDriverTaskRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, task: DriverTask) -> None:
        self._connection.execute(insert(table).values(**asdict(task)))

    def list(self, query: ListQuery) -> Page[DriverTask]:
        found = page(self._connection, query, table, table.c.task_id)
        return found.with_items([_driver_task(row) for row in found.items])


def _driver_task(row: Row[Any]) -> DriverTask:
    return DriverTask(**{column.name: getattr(row, column.name) for column in table.c})
