"""Rows of `artifact_uses`, and the artifacts and tasks at their ends.

Why unions: the uses of many nodes are asked for in one statement, and each node has a bound of its own, so that a data
set which thousands of runs used costs no more than any other. Each part of a union is a range of one index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from penstock_ir.task_rows import TaskKind, TaskState
from sqlalchemy import Connection, Select, delete, literal, select, union_all

from penstock_server.domain.lineage import ArtifactUse, LineageArtifact, LineageTask, TaskKey
from penstock_server.storage.repositories.artifacts import artifact_of
from penstock_server.storage.tables import artifact_uses as table
from penstock_server.storage.tables import artifacts, runs, tasks
from penstock_server.storage.upsert import insert_missing

_CHUNK = 500
# SQLite takes at most 500 parts in a union; compiling one of many takes longer than asking twice.
_PARTS = 50
_COLUMNS = (table.c.run_id, table.c.task_id, table.c.artifact_name, table.c.output, table.c.port, table.c.created_at)
# Without metadata, which may be megabytes of each.
_ARTIFACT = (*(column for column in artifacts.columns if column.name != "metadata"), literal("{}").label("metadata"))
_T = TypeVar("_T")


class SqlLineageRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, uses: Iterable[ArtifactUse]) -> None:
        """Those that are there already stay as they are."""
        insert_missing(self._connection, table, _rows(uses))

    def forget(self, keys: Sequence[TaskKey]) -> None:
        """What tasks used and made before a retry of their run."""
        for chunk in _chunks(keys, _CHUNK):
            self._connection.execute(delete(table).where(*_among(table.c.run_id, table.c.task_id, chunk)))

    def of_artifacts(self, names: Sequence[str], *, output: bool, limit: int) -> list[ArtifactUse]:
        """The newest uses of each, `limit` at most."""

        def part(name: str) -> Select[Any]:
            ordered = select(*_COLUMNS).where(table.c.artifact_name == name, table.c.output == output)
            return ordered.order_by(table.c.created_at.desc()).limit(limit)

        return self._uses(names, part)

    def answered(self, runs_by_artifact: Mapping[str, Sequence[str]], limit: int) -> list[ArtifactUse]:
        """The tasks of these runs that gave an artifact, whether they made it or the cache had it."""

        def part(name: str) -> Select[Any]:
            of_runs = table.c.run_id.in_(runs_by_artifact[name])
            return select(*_COLUMNS).where(table.c.artifact_name == name, table.c.output, of_runs).limit(limit)

        return self._uses(list(runs_by_artifact), part)

    def of_tasks(self, keys: Sequence[TaskKey], limit: int) -> list[ArtifactUse]:
        """What each used and what each gave, `limit` at most of either."""

        def part(one: tuple[TaskKey, bool]) -> Select[Any]:
            key, output = one
            of_task = (table.c.run_id == key.run_id, table.c.task_id == key.task_id, table.c.output == output)
            return select(*_COLUMNS).where(*of_task).order_by(table.c.artifact_name).limit(limit)

        return self._uses([(key, output) for key in keys for output in (False, True)], part)

    def with_more(self, known: Mapping[str, int]) -> set[str]:
        """The artifacts that have more uses than are known."""

        def part(name: str) -> Select[Any]:
            return select(table.c.artifact_name).where(table.c.artifact_name == name).limit(known[name] + 1)

        found: dict[str, int] = {}
        for row in self._union(list(known), part):
            found[row.artifact_name] = found.get(row.artifact_name, 0) + 1
        return {name for name, number in found.items() if number > known[name]}

    def artifacts(self, names: Sequence[str]) -> dict[str, LineageArtifact]:
        """By name, of those that there are; of several runs that imported one, the newest."""

        def part(name: str) -> Select[Any]:
            rows = select(*_ARTIFACT, runs.c.namespace).join_from(artifacts, runs, runs.c.run_id == artifacts.c.run_id)
            return rows.where(artifacts.c.name == name).order_by(artifacts.c.created_at.desc()).limit(1)

        return {row.name: LineageArtifact(artifact_of(row), row.namespace) for row in self._union(names, part)}

    def tasks(self, keys: Sequence[TaskKey]) -> dict[TaskKey, LineageTask]:
        """Those that there are."""
        found: dict[TaskKey, LineageTask] = {}
        for chunk in _chunks(keys, _CHUNK):
            statement = (
                select(
                    tasks.c.run_id,
                    tasks.c.task_id,
                    tasks.c.path,
                    tasks.c.name,
                    tasks.c.display_name,
                    tasks.c.kind,
                    tasks.c.state,
                    tasks.c.finished_at,
                    runs.c.display_name.label("run_display_name"),
                    runs.c.namespace,
                )
                .join_from(tasks, runs, runs.c.run_id == tasks.c.run_id)
                .where(*_among(tasks.c.run_id, tasks.c.task_id, chunk))
            )
            for row in self._connection.execute(statement):
                found[TaskKey(row.run_id, row.task_id)] = _task(row)
        return found

    def _uses(self, nodes: Sequence[_T], part: Callable[[_T], Select[Any]]) -> list[ArtifactUse]:
        return [
            ArtifactUse(TaskKey(row.run_id, row.task_id), row.artifact_name, bool(row.output), row.port, row.created_at)
            for row in self._union(nodes, part)
        ]

    def _union(self, nodes: Sequence[_T], part: Callable[[_T], Select[Any]]) -> Iterator[Any]:
        for chunk in _chunks(nodes, _PARTS):
            # As subqueries, since SQLite has no ORDER BY and LIMIT in the parts of a union.
            yield from self._connection.execute(union_all(*(select(part(one).subquery()) for one in chunk)))


def _rows(uses: Iterable[ArtifactUse]) -> list[dict[str, Any]]:
    """Each once."""
    rows = {
        (*use.task, use.artifact, use.output, use.port): {
            "run_id": use.task.run_id,
            "task_id": use.task.task_id,
            "artifact_name": use.artifact,
            "output": use.output,
            "port": use.port,
            "created_at": use.created_at,
        }
        for use in uses
    }
    return list(rows.values())


def _chunks(values: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _among(run_id: Any, task_id: Any, keys: Sequence[TaskKey]) -> tuple[Any, Any]:
    """The ids of tasks belong to one run each, so that the two lists name no other rows."""
    return run_id.in_({key.run_id for key in keys}), task_id.in_([key.task_id for key in keys])


def _task(row: Any) -> LineageTask:
    return LineageTask(
        run_id=row.run_id,
        path=row.path,
        display_name=row.display_name or row.name,
        kind=TaskKind(row.kind),
        state=TaskState(row.state),
        run_display_name=row.run_display_name,
        namespace=row.namespace,
        finished_at=row.finished_at,
    )
