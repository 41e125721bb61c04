"""Fills tables that a change of the schema has added with what older rows say.

Why not in the change itself: on PostgreSQL all changes are one transaction, which has locked `runs` for the sake of
foreign keys; on MariaDB every row that refers to a run locks it until the commit. A million tasks take minutes, and
servers of the release before go on meanwhile. So a fill has transactions of its own, a moment each.

Invariants: a fill may be broken off and begun again; what it would write twice stays as it is. It holds the rows of one
batch in memory, and reads and locks no row for longer than that takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, or_, select
from sqlalchemy.exc import IntegrityError

from penstock_server.domain.lineage import ArtifactUse, TaskKey, uses_in
from penstock_server.errors import InvalidArgumentError
from penstock_server.storage.repositories.lineage import SqlLineageRepository
from penstock_server.storage.repositories.runs import parameter_rows
from penstock_server.storage.tables import run_parameters, runs, tasks
from penstock_server.storage.upsert import insert_missing

log = logging.getLogger(__name__)

_BATCH = 500
_NOTED = 100_000


def fill_artifact_uses(engine: Engine) -> None:
    """Which task used or made which artifact, from the rows of all tasks."""

    def fill(connection: Connection, rows: Sequence[Any]) -> None:
        SqlLineageRepository(connection).add(use for row in rows for use in _uses(row))

    _fill(
        engine, "tasks for lineage", lambda last: _tasks_behind(last.run_id, last.task_id), _tasks_behind("", ""), fill
    )


def fill_run_parameters(engine: Engine) -> None:
    """What runs were given, from the rows of all runs."""

    def fill(connection: Connection, rows: Sequence[Any]) -> None:
        insert_missing(connection, run_parameters, [one for row in rows for one in _parameters(row)])

    _fill(engine, "runs for their parameters", lambda last: _runs_behind(last.run_id), _runs_behind(""), fill)


def _fill(
    engine: Engine,
    what: str,
    behind: Callable[[Any], Any],
    first: Any,
    fill: Callable[[Connection, Sequence[Any]], None],
) -> None:
    """`first` asks for the first batch of rows, `behind` for those behind a row."""
    statement, read, noted = first, 0, 0
    while True:
        try:
            with engine.begin() as connection:
                rows = connection.execute(statement).all()
                fill(connection, rows)
        except IntegrityError:
            # A run was deleted meanwhile: it is not there when the rows are read again.
            continue
        if not rows:
            return
        statement, read = behind(rows[-1]), read + len(rows)
        if read - noted >= _NOTED:
            noted = read
            log.info("read %d %s", read, what)


def _tasks_behind(run_id: str, task_id: str) -> Any:
    columns = (
        tasks.c.run_id,
        tasks.c.task_id,
        tasks.c.created_at,
        tasks.c.input_artifacts,
        tasks.c.output_artifacts,
    )
    return (
        select(*columns)
        .where(
            # Implied by what follows, but no database uses an index range for an OR.
            tasks.c.run_id >= run_id,
            or_(tasks.c.run_id > run_id, tasks.c.task_id > task_id),
            # DAGs, loops and iterations hand on what their tasks use and make.
            tasks.c.kind.in_(("container", "importer")),
            tasks.c.state != "PENDING",
            or_(tasks.c.input_artifacts != "{}", tasks.c.output_artifacts != "{}"),
        )
        .order_by(tasks.c.run_id, tasks.c.task_id)
        .limit(_BATCH)
    )


def _runs_behind(run_id: str) -> Any:
    statement = select(runs.c.run_id, runs.c.arguments).where(runs.c.run_id > run_id, runs.c.arguments != "{}")
    return statement.order_by(runs.c.run_id).limit(_BATCH)


def _parameters(row: Any) -> Sequence[dict[str, Any]]:
    try:
        return parameter_rows(row.run_id, row.arguments)
    except (ValueError, AttributeError):
        log.warning("run %s: its arguments cannot be read", row.run_id)
        return ()


def _uses(row: Any) -> Sequence[ArtifactUse]:
    try:
        return uses_in(TaskKey(row.run_id, row.task_id), row.created_at, row.input_artifacts, row.output_artifacts)
    except (InvalidArgumentError, ValueError):
        # Older releases checked less of what an executor reports.
        log.warning("task %s of run %s: its artifacts cannot be read", row.task_id, row.run_id)
        return ()


FILLS: Mapping[str, Callable[[Engine], None]] = {"0014": fill_artifact_uses, "0015": fill_run_parameters}
"""By the revision that made the table; each is complete before the next revision is made."""
