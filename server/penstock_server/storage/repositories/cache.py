"""Rows of `cache_entries`: results that later runs may reuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select

from penstock_server.domain.task import CacheEntry, CacheHit, CacheKey, task_id_of
from penstock_server.storage.tables import cache_entries as table
from penstock_server.storage.tables import tasks

_CHUNK = 300


class SqlCacheRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_many(self, entries: Sequence[CacheEntry]) -> None:
        if entries:
            rows = [
                {
                    "fingerprint": entry.fingerprint,
                    "namespace": entry.namespace,
                    "pipeline_name": entry.pipeline_name[:255],
                    "run_id": entry.run_id,
                    "task_path": entry.task_path,
                    "outputs": entry.outputs,
                    "created_at": entry.created_at,
                }
                for entry in entries
            ]
            self._connection.execute(insert(table), rows)

    def before(self, pipeline_name: str, namespace: str, at: int, limit: int) -> tuple[int, list[CacheEntry]]:
        where = (
            table.c.pipeline_name == pipeline_name[:255],
            table.c.namespace == namespace,
            table.c.created_at < at,
        )
        count = self._connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
        statement = select(table).where(*where).order_by(table.c.entry_id.desc()).limit(limit)
        return count, [_entry(row) for row in self._connection.execute(statement)]

    def newest(self, keys: Iterable[CacheKey]) -> dict[CacheKey, CacheHit]:
        """The newest entry of each key that has one: two statements for any few hundred keys."""
        wanted = set(keys)
        hits: dict[CacheKey, CacheHit] = {}
        ordered = sorted(wanted)
        for start in range(0, len(ordered), _CHUNK):
            fingerprints = {key.fingerprint for key in ordered[start : start + _CHUNK]}
            newest = (
                select(func.max(table.c.entry_id))
                .where(table.c.fingerprint.in_(fingerprints))
                .group_by(table.c.fingerprint, table.c.pipeline_name, table.c.namespace)
            )
            for row in self._connection.execute(select(table).where(table.c.entry_id.in_(newest))):
                key = CacheKey(row.fingerprint, row.pipeline_name, row.namespace)
                if key in wanted:
                    hits[key] = CacheHit(_entry(row))
        return self._with_execution_ids(hits)

    def _with_execution_ids(self, hits: dict[CacheKey, CacheHit]) -> dict[CacheKey, CacheHit]:
        if not hits:
            return hits
        by_task = {
            (hit.entry.run_id, task_id_of(hit.entry.run_id, hit.entry.task_path)): key for key, hit in hits.items()
        }
        statement = select(tasks.c.run_id, tasks.c.task_id, tasks.c.execution_id).where(
            and_(
                tasks.c.run_id.in_({run_id for run_id, _ in by_task}),
                tasks.c.task_id.in_({task_id for _, task_id in by_task}),
            )
        )
        for row in self._connection.execute(statement):
            key = by_task.get((row.run_id, row.task_id))
            if key is not None:
                hits[key] = CacheHit(hits[key].entry, row.execution_id)
        return hits


def _entry(row: Row[Any]) -> CacheEntry:
    return CacheEntry(
        row.fingerprint,
        row.namespace,
        row.pipeline_name,
        row.run_id,
        row.task_path,
        row.outputs,
        row.created_at,
    )
