"""Rows of `attempts`.

Invariants: what is told later is merged into what was told before: a time of 0, an empty text and an unset number leave
it. Statements do not grow with the rows. A timeline reads ids and numbers alone, however long the texts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from penstock_ir.task_rows import TaskKind, TaskState
from sqlalchemy import Connection, and_, select, tuple_

from penstock_server.domain.attempts import TIMES, AttemptOutcome, AttemptRow, LeafTask, Told
from penstock_server.storage.tables import attempts as table
from penstock_server.storage.tables import tasks
from penstock_server.storage.upsert import upsert

_T = TypeVar("_T")
_CHUNK = 500
_BATCH = 1000
_MAX_ERROR = 4096
"""In characters. The task's row has the whole error of its latest attempt."""
_FIELDS = tuple(field.name for field in fields(AttemptRow))
_COLUMNS = tuple(table.c[name] for name in _FIELDS)
_OF_TASK = tuple(tasks.c[name] for name in LeafTask._fields)
_OF_ATTEMPT = tuple(table.c[name] for name in ("attempt", *TIMES))
_NUMBER = len(_OF_TASK)
_KINDS = {kind.value: kind for kind in (TaskKind.CONTAINER, TaskKind.IMPORTER)}
_STATES = {state.value: state for state in TaskState}
_LEAVES = tuple(_KINDS)


class SqlAttemptRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def merge_many(self, attempts: Sequence[AttemptRow]) -> None:
        """Inserts rows, or merges them into those that are there."""
        rows = [
            {
                **{name: getattr(one, name) for name in _FIELDS},
                "outcome": one.outcome.value,
                "error": one.error[:_MAX_ERROR],
            }
            for one in attempts
        ]
        upsert(self._connection, table, rows, merge=True)

    def numbers(self, run_id: str, task_ids: Sequence[str]) -> dict[str, list[int]]:
        """Of those that have some, in order."""
        found: dict[str, list[int]] = {}
        for chunk in _chunks(task_ids):
            statement = (
                select(table.c.task_id, table.c.attempt)
                .where(table.c.run_id == run_id, table.c.task_id.in_(chunk))
                .order_by(table.c.task_id, table.c.attempt)
            )
            for task_id, number in self._connection.execute(statement):
                found.setdefault(task_id, []).append(number)
        return found

    def of_leaves(self, run_id: str) -> Iterator[tuple[LeafTask, Sequence[Told]]]:
        """The tasks of a run that hold no others, as they were created, each with the times of its attempts."""
        same = and_(table.c.run_id == tasks.c.run_id, table.c.task_id == tasks.c.task_id)
        statement = (
            select(*_OF_TASK, *_OF_ATTEMPT)
            .select_from(tasks.outerjoin(table, same))
            .where(tasks.c.run_id == run_id, tasks.c.kind.in_(_LEAVES))
            .order_by(tasks.c.ordinal, table.c.attempt)
        )
        task: LeafTask | None = None
        told: list[Told] = []
        for batch in self._connection.execute(statement).partitions(_BATCH):
            for row in batch:
                if task is None or row[0] != task.task_id:
                    if task is not None:
                        yield task, told
                    task_id, path, name, kind, state, *others = row[:_NUMBER]
                    task, told = LeafTask(task_id, path, name, _KINDS[kind], _STATES[state], *others), []
                if row[_NUMBER] is not None:
                    told.append((row[_NUMBER], row[_NUMBER + 1 :]))
        if task is not None:
            yield task, told

    def rows(self, run_id: str, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], AttemptRow]:
        """Those that are there, by the ids of their tasks and their numbers."""
        found: dict[tuple[str, int], AttemptRow] = {}
        for chunk in _chunks(keys):
            statement = select(*_COLUMNS).where(
                table.c.run_id == run_id,
                # Implied by the last condition, for which not every database takes an index.
                table.c.task_id.in_({task_id for task_id, _ in chunk}),
                tuple_(table.c.task_id, table.c.attempt).in_(chunk),
            )
            for row in self._connection.execute(statement):
                found[row.task_id, row.attempt] = _attempt(row)
        return found


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _attempt(row: Any) -> AttemptRow:
    values = dict(zip(_FIELDS, row, strict=True))
    values["outcome"] = AttemptOutcome(row.outcome)
    return AttemptRow(**values)
