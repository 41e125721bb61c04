"""Rows of `pipeline_versions`, joined with their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, literal, select, update

from penstock_server.domain.listing import ListQuery, Page
from penstock_server.domain.pipeline import PipelineVersion, Spec
from penstock_server.storage.listing import Pairs, ValueTest, page
from penstock_server.storage.repositories.tags import replace_tags, tags_of
from penstock_server.storage.tables import pipeline_version_tags as tags_table
from penstock_server.storage.tables import pipeline_versions as table
from penstock_server.storage.tables import pipelines, specs

_TAGS = Pairs(tags_table.c.pipeline_version_id, tags_table.c.tag_key, tags_table.c.tag_value)
# Made once, since every new run needs it and to put it together takes longer than to run it.
_BY_ID = (
    select(table, pipelines.c.namespace)
    .join_from(table, pipelines, pipelines.c.pipeline_id == table.c.pipeline_id)
    .where(table.c.pipeline_version_id == bindparam("version_id"))
)

_DOCUMENTS = select(specs).where(specs.c.spec_hash.in_(bindparam("hashes", expanding=True)))


class SqlVersionRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, version: PipelineVersion) -> None:
        self._connection.execute(
            insert(table).values(
                pipeline_version_id=version.pipeline_version_id,
                pipeline_id=version.pipeline_id,
                name=version.name,
                display_name=version.display_name,
                description=version.description,
                created_at=version.created_at,
                spec_hash=version.spec.spec_hash,
                package_url=version.package_url,
                code_source_url=version.code_source_url,
            )
        )
        replace_tags(self._connection, tags_table, "pipeline_version_id", version.pipeline_version_id, version.tags)

    def get(
        self, version_id: str, namespaces: Sequence[str] | None = None, *, documents: bool = True
    ) -> PipelineVersion | None:
        """`namespaces` are those that the pipeline may be in, None for any."""
        row = self._connection.execute(_BY_ID, {"version_id": version_id}).first()
        if row is None or (namespaces is not None and row.namespace not in namespaces):
            return None
        return self._versions([row], documents=documents)[0]

    def latest(self, pipeline_id: str) -> PipelineVersion | None:
        order = (table.c.created_at.desc(), table.c.pipeline_version_id.desc())
        statement = select(table).where(table.c.pipeline_id == pipeline_id).order_by(*order).limit(1)
        row = self._connection.execute(statement).first()
        return self._versions([row])[0] if row else None

    def count(self, pipeline_id: str) -> int:
        statement = select(func.count()).select_from(table).where(table.c.pipeline_id == pipeline_id)
        return self._connection.execute(statement).scalar_one()

    def list(self, query: ListQuery, *, documents: bool = True) -> Page[PipelineVersion]:
        found = page(
            self._connection,
            query,
            table,
            table.c.pipeline_version_id,
            parent=table.c.pipeline_id,
            pairs=_TAGS,
            related={"status": _status, "pipeline_spec": _document},
        )
        return found.with_items(self._versions(list(found.items), documents=documents))

    def update(self, version_id: str, display_name: str, tags: Mapping[str, str] | None) -> None:
        statement = update(table).where(table.c.pipeline_version_id == version_id).values(display_name=display_name)
        self._connection.execute(statement)
        if tags is not None:
            replace_tags(self._connection, tags_table, "pipeline_version_id", version_id, tags)

    def delete(self, version_id: str) -> bool:
        return self._connection.execute(delete(table).where(table.c.pipeline_version_id == version_id)).rowcount > 0

    def _versions(self, rows: Sequence[Row[Any]], *, documents: bool = True) -> Sequence[PipelineVersion]:
        """With the hashes of their documents alone where those are not wanted."""
        tags = tags_of(self._connection, tags_table, "pipeline_version_id", [row.pipeline_version_id for row in rows])
        hashes = {row.spec_hash for row in rows}
        found = {spec_hash: Spec(spec_hash, "") for spec_hash in hashes}
        if hashes and documents:
            for row in self._connection.execute(_DOCUMENTS, {"hashes": sorted(hashes)}):
                found[row.spec_hash] = Spec(row.spec_hash, row.pipeline_spec, row.platform_spec)
        return [
            PipelineVersion(
                pipeline_version_id=row.pipeline_version_id,
                pipeline_id=row.pipeline_id,
                name=row.name,
                display_name=row.display_name,
                description=row.description,
                created_at=row.created_at,
                spec=found[row.spec_hash],
                package_url=row.package_url,
                code_source_url=row.code_source_url,
                tags=tags[row.pipeline_version_id],
            )
            for row in rows
        ]


def _status(matches: ValueTest) -> ColumnElement[bool]:
    """Every stored version has been validated, so its status is READY."""
    return matches(literal("READY"))


def _document(matches: ValueTest) -> ColumnElement[bool]:
    return table.c.spec_hash.in_(select(specs.c.spec_hash).where(matches(specs.c.pipeline_spec)))
