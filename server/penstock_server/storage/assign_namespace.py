"""Gives what single-user mode made a namespace, so that an installation can go on in multi-user mode.

Invariants: only what has no namespace gets one, so it may be repeated, and what it did not finish it finishes then; a
table is one transaction, and experiments are the last, since by theirs it is told whose schedules are. Runs that have
not ended stay where their Pods are, so with such runs nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, or_, select, update

from penstock_server.domain.run import RunState
from penstock_server.errors import FailedPreconditionError
from penstock_server.storage.database import Database
from penstock_server.storage.engine import database_errors
from penstock_server.storage.schema import problem
from penstock_server.storage.tables import (
    cache_entries,
    driver_tasks,
    experiments,
    pipelines,
    recurring_runs,
    runs,
)

_SHOWN = 5


def assign_namespace(
    database: Database, namespace: str, schedules_namespace: str, *, pipelines_stay_shared: bool, dry_run: bool
) -> Iterator[tuple[str, int]]:
    """Yields each table, once it is done, with the number of its rows that got the namespace; with `dry_run`, that
    would get it.

    `schedules_namespace` is what schedules of single-user mode say. Raises FailedPreconditionError before anything is
    changed, UnavailableError.
    """
    affected = _affected(namespace, schedules_namespace, pipelines_stay_shared)
    with database_errors(), database.engine.connect() as connection:
        _check(connection, namespace, [table for table in affected if table in (experiments, pipelines)])
    for table, condition in affected.items():
        with database_errors(), database.engine.begin() as connection:
            if dry_run:
                rows = connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
            else:
                rows = connection.execute(update(table).where(condition).values(namespace=namespace)).rowcount
        yield table.name, rows


def _affected(
    namespace: str, schedules_namespace: str, pipelines_stay_shared: bool
) -> dict[Table, ColumnElement[bool]]:
    """The condition of the rows that get the namespace, in the order of the tables."""
    of_experiment = experiments.c.experiment_id == recurring_runs.c.experiment_id
    conditions: dict[Table, ColumnElement[bool]] = {
        table: table.c.namespace == "" for table in (cache_entries, driver_tasks, runs)
    }
    conditions[recurring_runs] = and_(
        recurring_runs.c.namespace != namespace,
        or_(
            exists().where(of_experiment, experiments.c.namespace == ""),
            and_(recurring_runs.c.namespace.in_(("", schedules_namespace)), ~exists().where(of_experiment)),
        ),
    )
    if not pipelines_stay_shared:
        conditions[pipelines] = pipelines.c.namespace == ""
    conditions[experiments] = experiments.c.namespace == ""
    return conditions


def _check(connection: Connection, namespace: str, named: list[Table]) -> None:
    """Raises FailedPreconditionError."""
    reason = problem(connection)
    if reason:
        raise FailedPreconditionError(f"the database cannot be used: {reason}; `penstock-server db upgrade` changes it")
    final = [state.value for state in RunState if state.final]
    unfinished = select(func.count()).where(runs.c.namespace == "", runs.c.state.not_in(final))
    count = connection.execute(unfinished).scalar_one()
    if count:
        raise FailedPreconditionError(
            f"{count} run(s) have not ended, and their Pods stay where they are: wait for them, or terminate them"
        )
    for table in named:
        taken = select(table.c.name).where(table.c.namespace == namespace)
        statement = select(table.c.name).where(table.c.namespace == "", table.c.name.in_(taken)).order_by(table.c.name)
        names = list(connection.execute(statement.limit(_SHOWN)).scalars())
        if names:
            raise FailedPreconditionError(
                f"{namespace} has {table.name} of the same names already: {', '.join(map(repr, names))}; "
                "delete one of each"
            )
