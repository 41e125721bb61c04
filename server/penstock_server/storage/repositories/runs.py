"""Rows of `runs`, apart from their dispatch columns (see queue)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from penstock_ir.ranks import rank
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)  # fmt: skip

from penstock_server.domain.changes import RunMark
from penstock_server.domain.experiment import ARCHIVED
from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.options import RunOptions
from penstock_server.domain.parameters import searchable
from penstock_server.domain.parts import NONE, Fields
from penstock_server.domain.run import Run, RunState, StateChange
from penstock_server.storage.listing import Pairs, ValueTest, page
from penstock_server.storage.tables import run_labels as labels_table
from penstock_server.storage.tables import run_parameters, tasks
from penstock_server.storage.tables import runs as table

_DISPATCH = (
    "claimable",
    "lease_owner",
    "lease_expires_at",
    "queue_rank",
    "takes_slots",
    "fence",
    "next_sequence",
    "changes",
)
_CHUNK = 500
_COLUMNS = [column for column in table.c if column.name not in _DISPATCH]
_NAMES = [column.name for column in _COLUMNS]
# Made once: it is asked several times a second, for as long as somebody watches.
_CHANGES = select(table.c.run_id, table.c.changes).where(table.c.run_id.in_(bindparam("run_ids", expanding=True)))
_NEXT_CHANGE = table.c.changes + 1
# As are these, for every call about a run: to make a statement of so many columns takes as long as all that it is for.
_OF_RUN = table.c.run_id == bindparam("the_run")
_ADD = insert(table)
_GET = select(*_COLUMNS).where(_OF_RUN)
_GET_LOCKED = _GET.with_for_update()
_GET_MANY = select(*_COLUMNS).where(table.c.run_id.in_(bindparam("the_runs", expanding=True)))
_GET_MANY_LOCKED = _GET_MANY.order_by(table.c.run_id).with_for_update()
_SET_STATE = update(table).where(_OF_RUN).values(changes=_NEXT_CHANGE)
_VERSION = select(table.c.created_at, table.c.changes).where(_OF_RUN)
# What changes in the life of a run, besides its place in the queue and its storage state.
_CHANGING = (
    "state",
    "state_history",
    "error",
    "finished_at",
    "terminate_requested",
    "pipeline_context_id",
    "pipeline_run_context_id",
)
_MARKED = ("run_id", "storage_state", *_CHANGING)
_mark_of = attrgetter(*_MARKED)
_FINAL = frozenset(state.value for state in RunState if state.final)
_LABELS = Pairs(labels_table.c.run_id, labels_table.c.label_key, labels_table.c.label_value)


class SqlRunRepository:
    """`lock`: rows are read `FOR UPDATE`, so that they do not change until the transaction ends."""

    def __init__(self, connection: Connection, *, lock: bool) -> None:
        self._connection = connection
        self._lock = lock

    def add(self, run: Run) -> None:
        """Stores a run together with its place in the queue."""
        values = {column.name: getattr(run, column.name) for column in _COLUMNS}
        values["state"] = run.state.value
        values["state_history"] = _history_text(run)
        values["options"] = run.options.to_text()
        values["labels"] = json.dumps(dict(run.labels)) if run.labels else None
        queue_rank = rank(run.created_at, run.options.priority)
        self._connection.execute(_ADD, {**values, "claimable": True, "queue_rank": queue_rank})
        if run.labels:
            rows = [{"run_id": run.run_id, "label_key": key, "label_value": value} for key, value in run.labels.items()]
            self._connection.execute(insert(labels_table), rows)
        parameters = parameter_rows(run.run_id, run.arguments)
        if parameters:
            self._connection.execute(insert(run_parameters), parameters)

    def get(self, run_id: str) -> Run | None:
        row = self._connection.execute(_GET_LOCKED if self._lock else _GET, {"the_run": run_id}).first()
        return _run(row) if row else None

    def version(self, run_id: str) -> str | None:
        """Of a run that exists: another one with every change of the run, its tasks or its artifacts."""
        row = self._connection.execute(_VERSION, {"the_run": run_id}).first()
        return _version(row.created_at, row.changes) if row else None

    def versioned(self, run_id: str, without: Fields = NONE) -> tuple[Run, str] | None:
        """The run and its version, as they were at one moment."""
        row = self._connection.execute(_versioned(without), {"the_run": run_id}).first()
        return (_run(row, _names(without)), _version(row.created_at, row.changes)) if row else None

    def get_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """The runs that exist, by id."""
        runs: dict[str, Run] = {}
        ordered = sorted(set(run_ids))
        for start in range(0, len(ordered), _CHUNK):
            wanted = {"the_runs": ordered[start : start + _CHUNK]}
            for row in self._connection.execute(_GET_MANY_LOCKED if self._lock else _GET_MANY, wanted):
                runs[row.run_id] = _run(row)
        return runs

    def by_recurring(self, recurring_run_id: str, display_name: str) -> Run | None:
        statement = select(*_COLUMNS).where(
            table.c.recurring_run_id == recurring_run_id, table.c.display_name == display_name
        )
        row = self._connection.execute(statement).first()
        return _run(row) if row else None

    def list(self, query: ListQuery, without: Fields = NONE) -> Page[Run]:
        names = _names(without)
        found = self._page(query, [table.c[name] for name in names])
        return found.with_items([_run(row, names) for row in found.items])

    def marks(self, query: ListQuery, total: int | None) -> Page[RunMark]:
        """Those of `list`. The runs of all pages are not counted when their `total` is given."""
        # Who watches a later page sees how many there are now.
        found = self._page(replace(query, total=None), [table.c[name] for name in _MARKED], total)
        return found.with_items([RunMark(row.run_id, _mark(row), row.state in _FINAL) for row in found.items])

    def marked(self, run_ids: Sequence[str]) -> dict[str, tuple[Run, int]]:
        """Of the runs that exist, each with its mark."""
        statement = select(*_COLUMNS).where(table.c.run_id.in_(run_ids))
        return {row.run_id: (_run(row), _mark(row)) for row in self._connection.execute(statement)}

    def _page(self, query: ListQuery, columns: Sequence[Column[Any]], total: int | None = None) -> Page[Row[Any]]:
        return page(
            self._connection,
            query,
            table,
            table.c.run_id,
            columns=columns,
            parent=table.c.experiment_id,
            pairs=_LABELS,
            related={"task_names": _has_task},
            total=total,
        )

    def set_storage_state(self, run_id: str, state: str) -> bool:
        statement = update(table).where(table.c.run_id == run_id).values(storage_state=state, changes=_NEXT_CHANGE)
        return self._connection.execute(statement).rowcount > 0

    def archive_of_experiment(self, experiment_id: str) -> None:
        self._connection.execute(
            update(table)
            .where(table.c.experiment_id == experiment_id)
            .values(storage_state=ARCHIVED, changes=_NEXT_CHANGE)
        )

    def count_active(self, recurring_run_id: str) -> int:
        """Runs of a schedule that have not ended."""
        final = [state.value for state in RunState if state.final]
        statement = (
            select(func.count())
            .select_from(table)
            .where(table.c.recurring_run_id == recurring_run_id, table.c.state.not_in(final))
        )
        return int(self._connection.execute(statement).scalar_one())

    def count_unfinished(self, namespace: str) -> int:
        """Runs of a namespace that have not ended."""
        # By the states that they may be in, so that the index of states is of use: those that have ended are many.
        unfinished = [state.value for state in RunState if not state.final]
        statement = (
            select(func.count()).select_from(table).where(table.c.state.in_(unfinished), table.c.namespace == namespace)
        )
        return int(self._connection.execute(statement).scalar_one())

    def active(self, recurring_run_id: str) -> Sequence[Run]:
        """Runs of a schedule that have not ended, in the order of their ids."""
        final = [state.value for state in RunState if state.final]
        statement = (
            select(*_COLUMNS)
            .where(table.c.recurring_run_id == recurring_run_id, table.c.state.not_in(final))
            .order_by(table.c.run_id)
        )
        rows = self._connection.execute(statement.with_for_update() if self._lock else statement)
        return [_run(row) for row in rows]

    def changes(self, run_ids: Sequence[str]) -> dict[str, int]:
        """How often each has changed; of the runs that exist."""
        changes: dict[str, int] = {}
        for start in range(0, len(run_ids), _CHUNK):
            rows = self._connection.execute(_CHANGES, {"run_ids": run_ids[start : start + _CHUNK]})
            changes.update((run_id, number) for run_id, number in rows)
        return changes

    def set_states(self, runs: Sequence[Run]) -> None:
        """Writes the columns that a change of state affects."""
        if not runs:
            return
        rows = [
            {
                "the_run": run.run_id,
                **{name: getattr(run, name) for name in _CHANGING},
                "state": run.state.value,
                "state_history": _history_text(run),
            }
            for run in runs
        ]
        self._connection.execute(_SET_STATE, rows)

    def delete(self, run_id: str) -> bool:
        return self._connection.execute(delete(table).where(table.c.run_id == run_id)).rowcount > 0


def parameter_rows(run_id: str, arguments: str) -> list[dict[str, Any]]:
    """Of `run_parameters`, from what the run was given as JSON text. Raises ValueError."""
    return [{"run_id": run_id, **asdict(parameter)} for parameter in searchable(json.loads(arguments))]


def _has_task(matches: ValueTest) -> ColumnElement[bool]:
    return exists().where(tasks.c.run_id == table.c.run_id, matches(tasks.c.name))


def _history_text(run: Run) -> str:
    return json.dumps([[change.state.value, change.at] for change in run.state_history], separators=(",", ":"))


def _mark(row: Row[Any]) -> int:
    return hash(_mark_of(row))


def _version(created_at: int, changes: int) -> str:
    """With the time of creation: a run of a schedule that is made again has the id that it had, and no changes."""
    return f"{created_at:x}.{changes:x}"


# There are as many as there are kinds of answers.
@lru_cache(maxsize=64)
def _names(without: Fields) -> Sequence[str]:
    return [name for name in _NAMES if name not in without]


@lru_cache(maxsize=64)
def _versioned(without: Fields) -> Select[Any]:
    return select(*(table.c[name] for name in _names(without)), table.c.changes).where(_OF_RUN)


def _run(row: Row[Any], names: Sequence[str] = _NAMES) -> Run:
    """Of a row that begins with these columns: their order takes a fraction of the time of their names."""
    values = dict(zip(names, row, strict=False))
    values["state"] = RunState(values["state"])
    values["options"] = _options(values["options"])
    values["labels"] = json.loads(values["labels"]) if values["labels"] else {}
    history = json.loads(values["state_history"])
    values["state_history"] = tuple(StateChange(RunState(state), at) for state, at in history)
    return Run(**values)


# Almost all runs have those of a few others.
_options = lru_cache(maxsize=1024)(RunOptions.from_text)
