"""Rows of `tasks`. `ordinal` is the order of first appearance; later reports of a task keep it.

Invariant: every field of `Task` is a column of its name; this module cannot be imported when one has no column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import count
from operator import attrgetter
from typing import Any

from penstock_ir.task_rows import TaskKind, TaskState
from sqlalchemy import Connection, Row, bindparam, select, update

from penstock_server.domain.task import Task, task_id_of
from penstock_server.storage.tables import runs
from penstock_server.storage.tables import tasks as table
from penstock_server.storage.upsert import upsert

_CHUNK = 500
_FIELDS = tuple(field.name for field in fields(Task))
_COLUMNS = tuple(table.c[name] for name in _FIELDS)
_values_of = attrgetter(*_FIELDS)


class SqlTaskRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_for_run(self, run_id: str) -> list[Task]:
        rows = self._connection.execute(select(*_COLUMNS).where(table.c.run_id == run_id).order_by(table.c.ordinal))
        return [_task(row) for row in rows]

    def get(self, run_id: str, task_id: str) -> Task | None:
        statement = select(*_COLUMNS).where(table.c.run_id == run_id, table.c.task_id == task_id)
        row = self._connection.execute(statement).first()
        return _task(row) if row else None

    def by_pod(self, run_id: str, pod_name: str) -> Task | None:
        statement = select(*_COLUMNS).where(table.c.pod_name == pod_name, table.c.pod_name != "")
        if run_id:
            statement = statement.where(table.c.run_id == run_id)
        row = self._connection.execute(statement).first()
        return _task(row) if row else None

    def upsert_many(self, tasks: Sequence[Task]) -> None:
        """Inserts or replaces rows; new ones get ordinals behind those of their run."""
        if not tasks:
            return
        ordinals = self._next_ordinals({task.run_id for task in tasks})
        rows = [
            {
                **dict(zip(_FIELDS, _values_of(task), strict=True)),
                "task_id": task.task_id,
                "ordinal": next(ordinals[task.run_id]),
                "name": task.name[:512],
                "kind": task.kind.value,
                "state": task.state.value,
                "history": json.dumps(task.history, separators=(",", ":")),
                "execution_id": 0,
                # The reason for waiting belonged to the state before.
                "waiting": None,
            }
            for task in tasks
        ]
        upsert(self._connection, table, rows, keep=("ordinal", "path", "execution_id"))

    def _next_ordinals(self, run_ids: Collection[str]) -> dict[str, Iterator[int]]:
        """For each run, an iterator of ordinals behind the last one."""
        # One index lookup for each run: MAX with GROUP BY would read all rows of all runs.
        last = (
            select(table.c.ordinal)
            .where(table.c.run_id == runs.c.run_id)
            .order_by(table.c.ordinal.desc())
            .limit(1)
            .scalar_subquery()
        )
        ordered = sorted(run_ids)
        last_ordinals: dict[str, int | None] = {}
        for start in range(0, len(ordered), _CHUNK):
            statement = select(runs.c.run_id, last).where(runs.c.run_id.in_(ordered[start : start + _CHUNK]))
            last_ordinals.update((run_id, number) for run_id, number in self._connection.execute(statement))
        return {run_id: count((last_ordinals.get(run_id) or 0) + 1) for run_id in ordered}

    def set_execution_ids(self, ids: Mapping[tuple[str, str], int]) -> None:
        """Ids in ML Metadata by run id and task path."""
        if ids:
            statement = (
                update(table)
                .where(table.c.run_id == bindparam("the_run"), table.c.task_id == bindparam("the_task"))
                .values(execution_id=bindparam("the_id"))
            )
            rows = [
                {"the_run": run_id, "the_task": task_id_of(run_id, path), "the_id": number}
                for (run_id, path), number in ids.items()
            ]
            self._connection.execute(statement, rows)

    def set_waits(self, waits: Mapping[tuple[str, str], str]) -> None:
        """Why tasks do not run yet, by run id and task path; rows that are not there are left out."""
        if waits:
            statement = (
                update(table)
                .where(table.c.run_id == bindparam("the_run"), table.c.task_id == bindparam("the_task"))
                .values(waiting=bindparam("the_text"))
            )
            rows = [
                {"the_run": run_id, "the_task": task_id_of(run_id, path), "the_text": text or None}
                for (run_id, path), text in waits.items()
            ]
            self._connection.execute(statement, rows)


def _task(row: Row[Any]) -> Task:
    """Of a row of `_COLUMNS`."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["kind"] = TaskKind(row.kind)
    values["state"] = TaskState(row.state)
    values["history"] = tuple((TaskState(state), at) for state, at in json.loads(row.history))
    values["waiting"] = row.waiting or ""
    return Task(**values)
