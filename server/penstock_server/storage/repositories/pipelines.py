"""Rows of `pipelines` and their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.pipeline import Pipeline
from penstock_server.storage.listing import Pairs, page
from penstock_server.storage.repositories.tags import replace_tags, tags_of
from penstock_server.storage.tables import pipeline_tags as tags_table
from penstock_server.storage.tables import pipelines as table

_TAGS = Pairs(tags_table.c.pipeline_id, tags_table.c.tag_key, tags_table.c.tag_value)


class SqlPipelineRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, pipeline: Pipeline) -> None:
        self._connection.execute(
            insert(table).values(
                pipeline_id=pipeline.pipeline_id,
                name=pipeline.name,
                display_name=pipeline.display_name,
                description=pipeline.description,
                namespace=pipeline.namespace,
                created_at=pipeline.created_at,
            )
        )
        replace_tags(self._connection, tags_table, "pipeline_id", pipeline.pipeline_id, pipeline.tags)

    def get(self, pipeline_id: str) -> Pipeline | None:
        row = self._connection.execute(select(table).where(table.c.pipeline_id == pipeline_id)).first()
        return self._pipelines([row])[0] if row else None

    def by_name(self, name: str, namespace: str | None) -> Pipeline | None:
        statement = select(table).where(table.c.name == name).order_by(table.c.created_at.desc())
        if namespace is not None:
            statement = statement.where(table.c.namespace == namespace)
        row = self._connection.execute(statement.limit(1)).first()
        return self._pipelines([row])[0] if row else None

    def list(self, query: ListQuery) -> Page[Pipeline]:
        found = page(self._connection, query, table, table.c.pipeline_id, pairs=_TAGS)
        return found.with_items(self._pipelines(list(found.items)))

    def update(self, pipeline_id: str, display_name: str, tags: Mapping[str, str] | None) -> None:
        statement = update(table).where(table.c.pipeline_id == pipeline_id).values(display_name=display_name)
        self._connection.execute(statement)
        if tags is not None:
            replace_tags(self._connection, tags_table, "pipeline_id", pipeline_id, tags)

    def delete(self, pipeline_id: str) -> bool:
        return self._connection.execute(delete(table).where(table.c.pipeline_id == pipeline_id)).rowcount > 0

    def _pipelines(self, rows: Sequence[Row[Any]]) -> Sequence[Pipeline]:
        tags = tags_of(self._connection, tags_table, "pipeline_id", [row.pipeline_id for row in rows])
        return [
            Pipeline(
                pipeline_id=row.pipeline_id,
                name=row.name,
                display_name=row.display_name,
                description=row.description,
                namespace=row.namespace,
                created_at=row.created_at,
                tags=tags[row.pipeline_id],
            )
            for row in rows
        ]
