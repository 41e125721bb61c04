"""The namespace and name of one object, of whatever kind: one read by a key, of two columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, select

from penstock_server.domain.location import Location, ObjectKind
from penstock_server.storage.repositories.shared_pods import of_one_run
from penstock_server.storage.tables import (
    artifacts,
    experiments,
    pipeline_versions,
    pipelines,
    recurring_runs,
    role_bindings,
    runs,
    tasks,
)


class SqlLocationRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, kind: ObjectKind, identifier: str) -> Location | None:
        row = self._connection.execute(_STATEMENTS[kind](identifier).limit(1)).first()
        return Location(row[0], row[1]) if row else None


def _experiment(identifier: str) -> Select[Any]:
    return select(experiments.c.namespace, experiments.c.name).where(experiments.c.experiment_id == identifier)


def _run(identifier: str) -> Select[Any]:
    return select(runs.c.namespace, runs.c.resource_name).where(runs.c.run_id == identifier)


def _recurring_run(identifier: str) -> Select[Any]:
    return select(recurring_runs.c.namespace, recurring_runs.c.display_name).where(
        recurring_runs.c.recurring_run_id == identifier
    )


def _pipeline(identifier: str) -> Select[Any]:
    return select(pipelines.c.namespace, pipelines.c.name).where(pipelines.c.pipeline_id == identifier)


def _version(identifier: str) -> Select[Any]:
    return (
        select(pipelines.c.namespace, pipeline_versions.c.name)
        .join_from(pipeline_versions, pipelines, pipelines.c.pipeline_id == pipeline_versions.c.pipeline_id)
        .where(pipeline_versions.c.pipeline_version_id == identifier)
    )


def _artifact(identifier: str) -> Select[Any]:
    """Of the row that reading the artifact by its name gives."""
    return (
        select(runs.c.namespace, runs.c.resource_name)
        .join_from(artifacts, runs, runs.c.run_id == artifacts.c.run_id)
        .where(artifacts.c.name == identifier)
        .order_by(artifacts.c.created_at.desc())
    )


def _pod(identifier: str) -> Select[Any]:
    return (
        select(runs.c.namespace, runs.c.resource_name)
        .join_from(tasks, runs, runs.c.run_id == tasks.c.run_id)
        .where(tasks.c.pod_name == identifier, tasks.c.pod_name != "", of_one_run())
    )


def _role_binding(identifier: str) -> Select[Any]:
    return select(role_bindings.c.namespace, role_bindings.c.role).where(role_bindings.c.role_binding_id == identifier)


_STATEMENTS = {
    ObjectKind.EXPERIMENT: _experiment,
    ObjectKind.RUN: _run,
    ObjectKind.RECURRING_RUN: _recurring_run,
    ObjectKind.PIPELINE: _pipeline,
    ObjectKind.PIPELINE_VERSION: _version,
    ObjectKind.ARTIFACT: _artifact,
    ObjectKind.POD: _pod,
    ObjectKind.ROLE_BINDING: _role_binding,
}
