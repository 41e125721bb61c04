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

from sqlalchemy import Engine, or_, select
from sqlalchemy.exc import IntegrityError

from penstock_server.domain.lineage import ArtifactUse, TaskKey, uses_in
from penstock_server.errors import InvalidArgumentError
from penstock_server.storage.repositories.lineage import SqlLineageRepository
from penstock_server.storage.tables import tasks

log = logging.getLogger(__name__)

_BATCH = 500
_NOTED = 100_000


def fill_artifact_uses(engine: Engine) -> None:
    """Which task used or made which artifact, from the rows of all tasks."""
    position, read, noted = ("", ""), 0, 0
    while True:
        try:
            with engine.begin() as connection:
                rows = connection.execute(_tasks_behind(*position)).all()
                SqlLineageRepository(connection).add(use for row in rows for use in _uses(row))
        except IntegrityError:
            # A run was deleted meanwhile: it is not there when the rows are read again.
            continue
        if not rows:
            return
        position, read = (rows[-1].run_id, rows[-1].task_id), read + len(rows)
        if read - noted >= _NOTED:
            noted = read
            log.info("read %d tasks for lineage", read)


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


def _uses(row: Any) -> Sequence[ArtifactUse]:
    try:
        return uses_in(TaskKey(row.run_id, row.task_id), row.created_at, row.input_artifacts, row.output_artifacts)
    except (InvalidArgumentError, ValueError):
        # Older releases checked less of what an executor reports.
        log.warning("task %s of run %s: its artifacts cannot be read", row.task_id, row.run_id)
        return ()


FILLS: Mapping[str, Callable[[Engine], None]] = {"0015": fill_artifact_uses}
"""By the revision that made the table; each is complete before the next revision is made."""
