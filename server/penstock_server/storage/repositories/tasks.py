"""Rows of `tasks`. `ordinal` is the order of first appearance; later reports of a task keep it.

Invariant: every field of `Task` and `TaskSummary` is a column of its name; this module cannot be imported when one has
no column.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import count
from operator import attrgetter
from typing import Any

from penstock_ir.task_rows import TaskKind, TaskState
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select, true, update

from penstock_server.domain.changes import Position
from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.parts import NONE, Fields
from penstock_server.domain.task import Task, TaskSummary, task_id_of
from penstock_server.domain.task_listing import DURATION, PARENT, TEXT
from penstock_server.storage.listing import Related, ValueTest, conditions, page
from penstock_server.storage.repositories.shared_pods import of_one_run
from penstock_server.storage.tables import runs
from penstock_server.storage.tables import tasks as table
from penstock_server.storage.upsert import upsert

_CHUNK = 500
_ENDED = tuple(state.value for state in TaskState if state.terminal)
_FIELDS = tuple(field.name for field in fields(Task))
_COLUMNS = tuple(table.c[name] for name in _FIELDS)
_SUMMARY = tuple(table.c[name] for name in TaskSummary._fields)
# Made once, because making them takes longer than what reports do with them.
_ENDED_OF = select(table.c.run_id, table.c.task_id, table.c.state).where(
    table.c.run_id.in_(bindparam("the_runs", expanding=True)),
    table.c.task_id.in_(bindparam("the_tasks", expanding=True)),
    table.c.state.in_(_ENDED),
)
# One index lookup for each run: MAX with GROUP BY would read all rows of all runs.
_LAST_ORDINAL = (
    select(table.c.ordinal)
    .where(table.c.run_id == runs.c.run_id)
    .order_by(table.c.ordinal.desc())
    .limit(1)
    .scalar_subquery()
)
_LAST_ORDINALS = select(runs.c.run_id, _LAST_ORDINAL).where(runs.c.run_id.in_(bindparam("the_runs", expanding=True)))
_OF_TASK = update(table).where(table.c.run_id == bindparam("the_run"), table.c.task_id == bindparam("the_task"))
_SET_EXECUTION_ID = _OF_TASK.values(execution_id=bindparam("the_id"), changed=bindparam("the_change"))
_SET_WAIT = _OF_TASK.values(waiting=bindparam("the_text"), changed=bindparam("the_change"))
_values_of = attrgetter(*_FIELDS)


class SqlTaskRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_for_run(self, run_id: str, without: Fields = NONE) -> list[Task]:
        names = _names(without)
        return [_task(row, names) for row in self._connection.execute(_of_run(names), {"the_run": run_id})]

    def list(self, query: ListQuery, without: Fields = NONE) -> Page[Task]:
        """Of `task_listing.TASKS`, in the scope of a run."""
        names = _names(without)
        found = page(
            self._connection,
            query,
            table,
            table.c.task_id,
            columns=[*(table.c[name] for name in names), table.c.task_id],
            where=_of_parent(query),
            parent=table.c.run_id,
            related=_RELATED,
            computed={DURATION: _DURATION},
        )
        return found.with_items([_task(row, names) for row in found.items])

    def counts(self, query: ListQuery) -> dict[TaskState, int]:
        """How many the query has in each state."""
        where = conditions(query, table, table.c.task_id, parent=table.c.run_id, related=_RELATED)
        statement = select(table.c.state, func.count()).where(*where, *_of_parent(query)).group_by(table.c.state)
        return {TaskState(state): number for state, number in self._connection.execute(statement)}

    def child_counts(self, run_id: str, parents: Sequence[Task]) -> dict[str, Counter[TaskState]]:
        """How many direct children are in each state, by the parent's path."""
        paths = {task.task_id: task.path for task in parents}
        found: dict[str, Counter[TaskState]] = {task.path: Counter() for task in parents}
        of_run = table.c.run_id == run_id
        ordered = sorted(paths)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            statement = (
                select(table.c.parent_id, table.c.state, func.count())
                .where(of_run, table.c.parent_id.in_(chunk))
                .group_by(table.c.parent_id, table.c.state)
            )
            for parent_id, state, number in self._connection.execute(statement):
                found[paths[parent_id]][TaskState(state)] += number
        # Rows of older releases, which have no parent_id; counted here, since databases group by a part of long paths.
        older = select(table.c.parent_path, table.c.state).where(
            of_run, table.c.parent_id.is_(None), table.c.path != ""
        )
        for parent_path, state in self._connection.execute(older) if parents else ():
            if parent_path in found:
                found[parent_path][TaskState(state)] += 1
        return found

    def get(self, run_id: str, task_id: str) -> Task | None:
        statement = select(*_COLUMNS).where(table.c.run_id == run_id, table.c.task_id == task_id)
        row = self._connection.execute(statement).first()
        return _task(row) if row else None

    def get_many(self, run_id: str, task_ids: Sequence[str]) -> Sequence[Task]:
        """Of those that exist, in any order."""
        of_run = select(*_COLUMNS).where(table.c.run_id == run_id)
        chunks = (task_ids[start : start + _CHUNK] for start in range(0, len(task_ids), _CHUNK))
        rows = (self._connection.execute(of_run.where(table.c.task_id.in_(chunk))) for chunk in chunks)
        return [_task(row) for some in rows for row in some]

    def of_pod(self, run_id: str, pod_name: str) -> Sequence[Task]:
        """Those of a run that have this Pod, two at most; of the one run that has it when `run_id` is empty."""
        statement = select(*_COLUMNS).where(table.c.pod_name == pod_name, table.c.pod_name != "")
        statement = statement.where(table.c.run_id == run_id if run_id else of_one_run())
        return list(map(_task, self._connection.execute(statement.limit(2))))

    def named(self, run_id: str, task_ids: Sequence[str], pod_names: Sequence[str]) -> Sequence[Task]:
        """Those of a run that have one of the ids, or of the names of Pods."""
        found: dict[str, Task] = {}
        for column, values in ((table.c.task_id, task_ids), (table.c.pod_name, [name for name in pod_names if name])):
            for start in range(0, len(values), _CHUNK):
                wanted = column.in_(values[start : start + _CHUNK])
                rows = self._connection.execute(select(*_COLUMNS).where(table.c.run_id == run_id, wanted))
                found.update((task.task_id, task) for task in map(_task, rows))
        return list(found.values())

    def changed_after(self, run_id: str, position: Position, limit: int) -> Sequence[tuple[int, Task]]:
        """The tasks behind the position, each with its latest change, in the order of (change, id)."""
        statement = _behind(select(*_COLUMNS, table.c.changed), run_id, position, limit)
        return [(row.changed, _task(row)) for row in self._connection.execute(statement)]

    def summaries_changed_after(self, run_id: str, position: Position, limit: int) -> Sequence[TaskSummary]:
        """Of the same tasks, in the same order."""
        statement = _behind(select(*_SUMMARY), run_id, position, limit)
        return list(map(TaskSummary._make, self._connection.execute(statement).all()))

    def ended(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], TaskState]:
        """The states of those that have ended, by run id and task path."""
        wanted = {(run_id, task_id_of(run_id, path)): (run_id, path) for run_id, path in keys}
        found: dict[tuple[str, str], TaskState] = {}
        ordered = sorted(wanted)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            among = {"the_runs": list({run_id for run_id, _ in chunk}), "the_tasks": [task_id for _, task_id in chunk]}
            for run_id, task_id, state in self._connection.execute(_ENDED_OF, among):
                key = wanted.get((run_id, task_id))
                if key is not None:
                    found[key] = TaskState(state)
        return found

    def upsert_many(self, tasks: Sequence[Task], changes: Mapping[str, int]) -> None:
        """Inserts or replaces rows; new ones get ordinals behind those of their run. `changes` has each run's."""
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
                "parent_id": task_id_of(task.run_id, task.parent_path) if task.path else "",
                "changed": changes[task.run_id],
            }
            for task in tasks
        ]
        upsert(self._connection, table, rows, keep=("ordinal", "path", "execution_id"))

    def _next_ordinals(self, run_ids: Collection[str]) -> dict[str, Iterator[int]]:
        """For each run, an iterator of ordinals behind the last one."""
        ordered = sorted(run_ids)
        last_ordinals: dict[str, int | None] = {}
        for start in range(0, len(ordered), _CHUNK):
            found = self._connection.execute(_LAST_ORDINALS, {"the_runs": ordered[start : start + _CHUNK]})
            last_ordinals.update((run_id, number) for run_id, number in found)
        return {run_id: count((last_ordinals.get(run_id) or 0) + 1) for run_id in ordered}

    def set_execution_ids(self, ids: Mapping[tuple[str, str], int], changes: Mapping[str, int]) -> None:
        """Ids in ML Metadata by run id and task path."""
        if ids:
            rows = [
                {
                    "the_run": run_id,
                    "the_task": task_id_of(run_id, path),
                    "the_id": number,
                    "the_change": changes[run_id],
                }
                for (run_id, path), number in ids.items()
            ]
            self._connection.execute(_SET_EXECUTION_ID, rows)

    def set_waits(self, waits: Mapping[tuple[str, str], str], changes: Mapping[str, int]) -> None:
        """Why tasks do not run yet, by run id and task path; rows that are not there are left out."""
        if waits:
            rows = [
                {
                    "the_run": run_id,
                    "the_task": task_id_of(run_id, path),
                    "the_text": text or None,
                    "the_change": changes[run_id],
                }
                for (run_id, path), text in waits.items()
            ]
            self._connection.execute(_SET_WAIT, rows)


def _behind(columns: Select[Any], run_id: str, position: Position, limit: int) -> Select[Any]:
    change, task_id = position
    # The first condition is implied by the second, but no database uses an index range for an OR.
    return (
        columns.where(
            table.c.run_id == run_id,
            table.c.changed >= change,
            or_(table.c.changed > change, table.c.task_id > task_id),
        )
        .order_by(table.c.changed, table.c.task_id)
        .limit(limit)
    )


def _any_name(matches: ValueTest) -> ColumnElement[bool]:
    return or_(*(matches(func.lower(column)) for column in (table.c.name, table.c.display_name, table.c.path)))


def _of_parent(query: ListQuery) -> list[ColumnElement[bool]]:
    """By the id of the parent that the query names; rows of older releases, which have none, by its path."""
    run_id = query.scope.parent
    return [
        or_(
            table.c.parent_id == task_id_of(run_id, one.value),
            and_(table.c.parent_id.is_(None), table.c.parent_path == one.value, table.c.path != ""),
        )
        for one in query.predicates
        if one.column == PARENT
    ]


# The parent is looked for by `_of_parent`, whose condition has an index.
_RELATED: Related = {TEXT: _any_name, PARENT: lambda _: true()}
_DURATION = case((table.c.finished_at > 0, table.c.finished_at - table.c.started_at), else_=0)


# There are as many as there are kinds of answers.
@lru_cache(maxsize=64)
def _names(without: Fields) -> tuple[str, ...]:
    return tuple(name for name in _FIELDS if name not in without)


# Kept, because making it takes longer than reading a few tasks.
@lru_cache(maxsize=64)
def _of_run(names: tuple[str, ...]) -> Select[Any]:
    columns = (table.c[name] for name in names)
    return select(*columns).where(table.c.run_id == bindparam("the_run")).order_by(table.c.ordinal)


def _task(row: Any, names: Sequence[str] = _FIELDS) -> Task:
    """Of a row that begins with these columns."""
    values = dict(zip(names, row, strict=False))
    values["kind"] = TaskKind(values["kind"])
    values["state"] = TaskState(values["state"])
    if "history" in values:
        values["history"] = tuple((TaskState(state), at) for state, at in json.loads(values["history"]))
    if "waiting" in values:
        values["waiting"] = values["waiting"] or ""
    return Task(**values)
