"""Rows of `experiments`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from penstock_server.domain.experiment import Experiment
from penstock_server.domain.listing import ListQuery, Page
from penstock_server.storage.listing import page
from penstock_server.storage.tables import experiments as table

# Made once: every new run asks for them.
_OF_EXPERIMENT = table.c.experiment_id == bindparam("the_experiment")
_GET = select(table).where(_OF_EXPERIMENT)
_BY_NAME = select(table).where(table.c.namespace == bindparam("the_namespace"), table.c.name == bindparam("the_name"))
_NOTE_RUN = (
    update(table)
    .where(_OF_EXPERIMENT, table.c.last_run_created_at < bindparam("the_time"))
    .values(last_run_created_at=bindparam("the_time"))
)


class SqlExperimentRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, experiment: Experiment) -> None:
        self._connection.execute(
            insert(table).values(
                experiment_id=experiment.experiment_id,
                name=experiment.name,
                description=experiment.description,
                namespace=experiment.namespace,
                created_at=experiment.created_at,
                last_run_created_at=experiment.last_run_created_at,
                storage_state=experiment.storage_state,
            )
        )

    def get(self, experiment_id: str) -> Experiment | None:
        row = self._connection.execute(_GET, {"the_experiment": experiment_id}).first()
        return _experiment(row) if row else None

    def by_name(self, name: str, namespace: str) -> Experiment | None:
        row = self._connection.execute(_BY_NAME, {"the_namespace": namespace, "the_name": name}).first()
        return _experiment(row) if row else None

    def list(self, query: ListQuery) -> Page[Experiment]:
        found = page(self._connection, query, table, table.c.experiment_id)
        return found.with_items([_experiment(row) for row in found.items])

    def set_storage_state(self, experiment_id: str, state: str) -> bool:
        statement = update(table).where(table.c.experiment_id == experiment_id).values(storage_state=state)
        return self._connection.execute(statement).rowcount > 0

    def note_run(self, experiment_id: str, created_at: int) -> None:
        self._connection.execute(_NOTE_RUN, {"the_experiment": experiment_id, "the_time": created_at})

    def delete(self, experiment_id: str) -> bool:
        return self._connection.execute(delete(table).where(table.c.experiment_id == experiment_id)).rowcount > 0


def _experiment(row: Row[Any]) -> Experiment:
    return Experiment(
        experiment_id=row.experiment_id,
        name=row.name,
        description=row.description,
        namespace=row.namespace,
        created_at=row.created_at,
        last_run_created_at=row.last_run_created_at,
        storage_state=row.storage_state,
    )
