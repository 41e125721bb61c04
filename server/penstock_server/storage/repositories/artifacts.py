"""Rows of `artifacts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.task import Artifact, metrics_of
from penstock_server.storage.listing import page
from penstock_server.storage.tables import artifacts as table
from penstock_server.storage.tables import run_metrics, runs
from penstock_server.storage.upsert import upsert

_IDS_OF_RUN = select(table.c.name, table.c.metadata_id).where(
    table.c.run_id == bindparam("the_run"), table.c.metadata_id != 0
)

_SET_METADATA_ID = (
    update(table)
    .where(table.c.run_id == bindparam("the_run"), table.c.name == bindparam("the_name"))
    .values(metadata_id=bindparam("the_id"))
)


class SqlArtifactRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upsert_many(self, artifacts: Sequence[Artifact]) -> None:
        rows = [
            {
                "name": artifact.name,
                "run_id": artifact.run_id,
                "task_path": artifact.task_path,
                "port": artifact.port[:255],
                "type": artifact.type[:255],
                "display_name": artifact.display_name,
                "uri": artifact.uri,
                "metadata": artifact.metadata,
                "created_at": artifact.created_at,
                "metadata_id": artifact.metadata_id,
            }
            for artifact in artifacts
        ]
        upsert(self._connection, table, rows, keep=("created_at", "metadata_id"))
        metrics = {
            (artifact.run_id, name): value for artifact in artifacts for name, value in metrics_of(artifact).items()
        }
        values = [{"run_id": run_id, "name": name, "value": value} for (run_id, name), value in metrics.items()]
        upsert(self._connection, run_metrics, values)

    def get(self, name: str) -> Artifact | None:
        """The artifact of a name; of several runs that imported it, the newest row."""
        statement = select(table).where(table.c.name == name).order_by(table.c.created_at.desc()).limit(1)
        row = self._connection.execute(statement).first()
        return artifact_of(row) if row else None

    def list(self, query: ListQuery, type_name: str) -> Page[Artifact]:
        where = [table.c.type == type_name] if type_name else []
        if query.scope.namespace is not None:
            of_namespace = select(runs.c.run_id).where(runs.c.namespace == query.scope.namespace)
            where = [*where, table.c.run_id.in_(of_namespace)]
        found = page(self._connection, query, table, table.c.name, where=where, parent=table.c.run_id)
        return found.with_items([artifact_of(row) for row in found.items])

    def metrics_of(self, run_ids: Sequence[str]) -> dict[str, dict[str, float]]:
        """The newest value of each scalar metric, by run and name."""
        found: dict[str, dict[str, float]] = {}
        for row in self._connection.execute(select(run_metrics).where(run_metrics.c.run_id.in_(run_ids))):
            found.setdefault(row.run_id, {})[row.name] = row.value
        return found

    def newest(self, run_id: str, types: Sequence[str], limit: int) -> Sequence[Artifact]:
        """Of a run's artifacts those of these types, the newest first."""
        statement = (
            select(table)
            .where(table.c.run_id == run_id, table.c.type.in_(types))
            .order_by(table.c.created_at.desc(), table.c.name)
            .limit(limit)
        )
        return [artifact_of(row) for row in self._connection.execute(statement)]

    def set_metadata_ids(self, ids: Mapping[tuple[str, str], int]) -> None:
        """Ids in ML Metadata by run id and artifact name."""
        if ids:
            rows = [{"the_run": run_id, "the_name": name, "the_id": number} for (run_id, name), number in ids.items()]
            self._connection.execute(_SET_METADATA_ID, rows)

    def ids_for_run(self, run_id: str) -> dict[str, int]:
        """Ids in ML Metadata by artifact name, of those that have one."""
        return {row.name: row.metadata_id for row in self._connection.execute(_IDS_OF_RUN, {"the_run": run_id})}


def artifact_of(row: Row[Any]) -> Artifact:
    """Of a row with all columns of the table."""
    return Artifact(
        name=row.name,
        run_id=row.run_id,
        task_path=row.task_path,
        port=row.port,
        type=row.type,
        uri=row.uri,
        display_name=row.display_name,
        metadata=row.metadata,
        created_at=row.created_at,
        metadata_id=row.metadata_id,
    )
