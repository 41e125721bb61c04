"""Rows of `experiments`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from penstock_server.domain.experiment import Experiment
from penstock_server.domain.listing import ListQuery, Page
from penstock_server.storage.listing import page
from penstock_server.storage.tables import experiments as table


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
        row = self._connection.execute(select(table).where(table.c.experiment_id == experiment_id)).first()
        return _experiment(row) if row else None

    def by_name(self, name: str, namespace: str) -> Experiment | None:
        statement = select(table).where(table.c.namespace == namespace, table.c.name == name)
        row = self._connection.execute(statement).first()
        return _experiment(row) if row else None

    def list(self, query: ListQuery) -> Page[Experiment]:
        found = page(self._connection, query, table, table.c.experiment_id)
        return found.with_items([_experiment(row) for row in found.items])

    def set_storage_state(self, experiment_id: str, state: str) -> bool:
        statement = update(table).where(table.c.experiment_id == experiment_id).values(storage_state=state)
        return self._connection.execute(statement).rowcount > 0

    def note_run(self, experiment_id: str, created_at: int) -> None:
        statement = (
            update(table)
            .where(table.c.experiment_id == experiment_id, table.c.last_run_created_at < created_at)
            .values(last_run_created_at=created_at)
        )
        self._connection.execute(statement)

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
