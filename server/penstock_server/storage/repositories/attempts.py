"""Rows of `attempts`.

Invariants: what is told later is merged into what was told before: a time of 0, an empty text and an unset number leave
it. Statements do not grow with the rows. A timeline reads ids and numbers alone, however long the texts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Connection, select, tuple_

from penstock_server.domain.attempts import TIMES, AttemptOutcome, AttemptRow, Told
from penstock_server.storage.tables import attempts as table
from penstock_server.storage.upsert import upsert

_T = TypeVar("_T")
_CHUNK = 500
_MAX_ERROR = 4096
"""In characters. The task's row has the whole error of its latest attempt."""
_FIELDS = tuple(field.name for field in fields(AttemptRow))
_COLUMNS = tuple(table.c[name] for name in _FIELDS)


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

    def told(self, run_id: str) -> dict[str, list[Told]]:
        """The times of all attempts of a run by the ids of their tasks, in the order of their numbers."""
        columns = [table.c[name] for name in ("task_id", "attempt", *TIMES)]
        statement = select(*columns).where(table.c.run_id == run_id).order_by(table.c.task_id, table.c.attempt)
        found: dict[str, list[Told]] = {}
        for task_id, number, *times in self._connection.execute(statement):
            found.setdefault(task_id, []).append(Told(number, tuple(times)))
        return found

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
