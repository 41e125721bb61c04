"""Pipelines and versions (api.md §2.7).

Invariants: a version is stored only if its document compiles; a pipeline and its first version are stored in one
transaction; deleting a pipeline does not delete its runs. In multi-user mode a pipeline belongs to a namespace or is
shared; for what is made in another namespace, a pipeline of a namespace does not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from penstock_ir.loader import MAX_PACKAGE_BYTES

from penstock_server.domain import limits, listing
from penstock_server.domain.listing import Key, KeyKind, Listing, Page, Scope
from penstock_server.domain.pipeline import Pipeline, PipelineVersion, Spec
from penstock_server.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from penstock_server.services import audit
from penstock_server.services.documents import Documents
from penstock_server.services.ports import Clock, Storage, UnitOfWork
from penstock_server.services.tenancy import SHARED, SINGLE_USER, Tenancy

PIPELINES = Listing(
    "pipelines",
    {
        "id": Key("pipeline_id"),
        "pipeline_id": Key("pipeline_id"),
        "name": Key("name"),
        "display_name": Key("display_name"),
        "created_at": Key("created_at", KeyKind.TIME),
        "description": Key("description"),
        "namespace": Key("namespace"),
    },
    pairs="tags",
)
VERSIONS = Listing(
    "pipeline versions",
    {
        "id": Key("pipeline_version_id"),
        "pipeline_version_id": Key("pipeline_version_id"),
        "name": Key("name"),
        "display_name": Key("display_name"),
        "created_at": Key("created_at", KeyKind.TIME),
        "description": Key("description"),
        "status": Key("status", sortable=False),
        "pipeline_spec": Key("pipeline_spec", sortable=False),
    },
    pairs="tags",
)
Fetch = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Naming:
    """Names and descriptions of a new pipeline or version. `fallback` is a file name, used when there is no name;
    `namespace` is a pipeline's alone.
    """

    name: str = ""
    display_name: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    fallback: str = ""
    code_source_url: str = ""
    namespace: str = ""

    def resolved(self, place: str, limit: int, label: str) -> tuple[str, str]:
        """Name and display name; each defaults to the other. Raises InvalidArgumentError."""
        name = self.name or self.display_name or self.fallback
        limits.check_name(name, f"{place}.name", limit, label)
        display_name = self.display_name or name
        limits.check_length(display_name, f"{place}.display_name", 256)
        limits.check_length(self.description, f"{place}.description", limits.DESCRIPTION)
        limits.check_tags(self.tags, f"{place}.tags")
        return name, display_name


class PipelineService:
    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        documents: Documents,
        fetch: Fetch,
        max_package_bytes: int = MAX_PACKAGE_BYTES,
        tenancy: Tenancy = SINGLE_USER,
    ) -> None:
        self._tenancy = tenancy
        self._max_package_bytes = max_package_bytes
        self._storage = storage
        self._clock = clock
        self._documents = documents
        self._fetch = fetch

    def create(self, naming: Naming) -> Pipeline:
        """An empty pipeline. Raises InvalidArgumentError, AlreadyExistsError."""
        pipeline = self._pipeline(naming)
        with self._storage.writing() as uow:
            _add_pipeline(uow, pipeline)
            _note(uow, pipeline.created_at, "create", pipeline)
        return pipeline

    def create_with_version(self, naming: Naming, version: Naming, url: str) -> Pipeline:
        """A pipeline and its first version from a URL; the version has the pipeline's names."""
        spec = self._fetch_spec(url, "pipeline_version.package_url.pipeline_url")
        fallback = url.rsplit("/", 1)[-1]
        named = replace(naming, fallback=fallback)
        return self._store_with_version(named, spec, url, version.tags, version.code_source_url)[0]

    def upload(self, naming: Naming, content: bytes) -> Pipeline:
        """A pipeline and its first version from a package."""
        spec = self._read_spec(content, naming.fallback)
        return self._store_with_version(naming, spec, "", {}, naming.code_source_url)[0]

    def create_version(self, pipeline_id: str, naming: Naming, url: str) -> PipelineVersion:
        spec = self._fetch_spec(url, "pipeline_version.package_url.pipeline_url")
        return self._store_version(pipeline_id, naming, spec, url)

    def upload_version(self, pipeline_id: str, naming: Naming, content: bytes) -> PipelineVersion:
        if not pipeline_id:
            raise InvalidArgumentError("the id of the pipeline is required", "pipelineid")
        spec = self._read_spec(content, naming.fallback)
        return self._store_version(pipeline_id, naming, spec, "")

    def get(self, pipeline_id: str) -> Pipeline:
        with self._storage.reading() as uow:
            return find_pipeline(uow, pipeline_id)

    def get_by_name(self, name: str, namespace: str = "") -> Pipeline:
        """In multi-user mode the one of the namespace, the shared one when none is named; else the newest.

        Raises InvalidArgumentError, NotFoundError.
        """
        wanted = self._tenancy.listed(self._tenancy.pipeline_namespace(namespace, "namespace"))
        with self._storage.reading() as uow:
            pipeline = uow.pipelines.by_name(name, wanted)
            if pipeline is None:
                raise NotFoundError("Pipeline", name)
            return pipeline

    def list(self, request: listing.ListRequest, namespace: str = "") -> Page[Pipeline]:
        """In multi-user mode those of the namespace, the shared ones when none is named.

        Raises InvalidArgumentError.
        """
        scope = Scope(self._tenancy.listed(self._tenancy.pipeline_namespace(namespace, "namespace")))
        query = listing.parse(PIPELINES, request, scope)
        with self._storage.reading() as uow:
            return uow.pipelines.list(query)

    def update(
        self, pipeline_id: str, display_name: str, tags: Mapping[str, str], *, clear_tags: bool = False
    ) -> Pipeline:
        """Changes the display name, unless empty, and the tags, unless there are none and they are not cleared."""
        limits.check_length(display_name, "pipeline.display_name", 256)
        limits.check_tags(tags, "pipeline.tags")
        with self._storage.writing() as uow:
            pipeline = find_pipeline(uow, pipeline_id)
            new_tags = tags if tags or clear_tags else None
            uow.pipelines.update(pipeline_id, display_name or pipeline.display_name, new_tags)
            _note(uow, self._clock.now_millis(), "update", pipeline)
            return find_pipeline(uow, pipeline_id)

    def delete(self, pipeline_id: str, *, cascade: bool) -> None:
        with self._storage.writing() as uow:
            pipeline = find_pipeline(uow, pipeline_id)
            versions = uow.versions.count(pipeline_id)
            if versions and not cascade:
                raise FailedPreconditionError(
                    f"pipeline {pipeline_id!r} has {versions} version(s): delete them first, or set cascade"
                )
            uow.pipelines.delete(pipeline_id)
            _note(uow, self._clock.now_millis(), "delete", pipeline)

    def get_version(self, version_id: str, *, documents: bool = True) -> PipelineVersion:
        """Without `documents` its document is not read and has an empty text; here and below. Raises NotFoundError."""
        with self._storage.reading() as uow:
            return find_version(uow, version_id, documents=documents)

    def latest_version(self, pipeline_id: str) -> PipelineVersion | None:
        with self._storage.reading() as uow:
            find_pipeline(uow, pipeline_id)
            return uow.versions.latest(pipeline_id)

    def list_versions(
        self, pipeline_id: str, request: listing.ListRequest, *, documents: bool = True
    ) -> Page[PipelineVersion]:
        if not pipeline_id:
            raise InvalidArgumentError("the id of the pipeline is required", "pipeline_id")
        query = listing.parse(VERSIONS, request, Scope(parent=pipeline_id))
        with self._storage.reading() as uow:
            find_pipeline(uow, pipeline_id)
            return uow.versions.list(query, documents=documents)

    def update_version(
        self, version_id: str, display_name: str, tags: Mapping[str, str], *, clear_tags: bool = False
    ) -> PipelineVersion:
        limits.check_length(display_name, "pipeline_version.display_name", 256)
        limits.check_tags(tags, "pipeline_version.tags")
        with self._storage.writing() as uow:
            version = find_version(uow, version_id)
            new_tags = tags if tags or clear_tags else None
            uow.versions.update(version_id, display_name or version.display_name, new_tags)
            _note(uow, self._clock.now_millis(), "update", find_pipeline(uow, version.pipeline_id), version)
            return find_version(uow, version_id)

    def delete_version(self, version_id: str) -> None:
        with self._storage.writing() as uow:
            version = find_version(uow, version_id)
            uow.versions.delete(version_id)
            _note(uow, self._clock.now_millis(), "delete", find_pipeline(uow, version.pipeline_id), version)

    def _fetch_spec(self, url: str, place: str) -> Spec:
        if not url:
            raise InvalidArgumentError("the URL of the package is required", place)
        return self._read_spec(self._fetch(url), url.split("?", 1)[0].rsplit("/", 1)[-1])

    def _read_spec(self, content: bytes, file_name: str) -> Spec:
        return self._documents.checked_package(content, file_name, self._max_package_bytes)

    def _pipeline(self, naming: Naming) -> Pipeline:
        name, display_name = naming.resolved("pipeline", limits.PIPELINE_NAME, "Pipeline.Name")
        namespace = self._tenancy.pipeline_namespace(naming.namespace, "pipeline.namespace")
        now = self._clock.now_millis()
        return Pipeline(str(uuid.uuid4()), name, display_name, naming.description, namespace, now, dict(naming.tags))

    def _version(
        self, pipeline_id: str, names: tuple[str, str], naming: Naming, spec: Spec, url: str
    ) -> PipelineVersion:
        return PipelineVersion(
            pipeline_version_id=str(uuid.uuid4()),
            pipeline_id=pipeline_id,
            name=names[0],
            display_name=names[1],
            description=naming.description,
            created_at=self._clock.now_millis(),
            spec=spec,
            package_url=url,
            code_source_url=naming.code_source_url,
            tags=dict(naming.tags),
        )

    def _store_with_version(
        self, naming: Naming, spec: Spec, url: str, tags: Mapping[str, str], code_source_url: str
    ) -> tuple[Pipeline, PipelineVersion]:
        pipeline = self._pipeline(naming)
        limits.check_length(pipeline.name, "pipeline.name", limits.VERSION_NAME, "PipelineVersion.Name")
        inherited = Naming(
            naming.name, naming.display_name, naming.description, dict(tags), code_source_url=code_source_url
        )
        version = self._version(pipeline.pipeline_id, (pipeline.name, pipeline.display_name), inherited, spec, url)
        with self._storage.writing() as uow:
            _add_pipeline(uow, pipeline)
            uow.specs.put(version.spec)
            uow.versions.add(version)
            _note(uow, pipeline.created_at, "create", pipeline)
            _note(uow, version.created_at, "create", pipeline, version)
        return pipeline, version

    def _store_version(self, pipeline_id: str, naming: Naming, spec: Spec, url: str) -> PipelineVersion:
        names = naming.resolved("pipeline_version", limits.VERSION_NAME, "PipelineVersion.Name")
        version = self._version(pipeline_id, names, naming, spec, url)
        with self._storage.writing() as uow:
            pipeline = find_pipeline(uow, pipeline_id)
            uow.specs.put(version.spec)
            uow.versions.add(version)
            _note(uow, version.created_at, "create", pipeline, version)
        return version


def find_pipeline(uow: UnitOfWork, pipeline_id: str) -> Pipeline:
    """Raises NotFoundError."""
    pipeline = uow.pipelines.get(pipeline_id)
    if pipeline is None:
        raise NotFoundError("Pipeline", pipeline_id)
    return pipeline


def resolve_source(
    uow: UnitOfWork,
    tenancy: Tenancy,
    namespace: str,
    inline: Spec | None,
    pipeline_id: str,
    version_id: str,
    place: str,
) -> tuple[Spec, str, str]:
    """The document that something in a namespace executes, with the ids of its pipeline and version, which are empty
    for an inline one.

    Raises NotFoundError, also for what is neither of the namespace nor shared, InvalidArgumentError,
    FailedPreconditionError.
    """
    if inline is not None:
        return inline, "", ""
    field = f"{place}.pipeline_version_reference"
    if version_id:
        version = find_usable_version(uow, tenancy, namespace, version_id)
        if pipeline_id and version.pipeline_id != pipeline_id:
            raise InvalidArgumentError(f"version {version_id!r} belongs to another pipeline", f"{field}.pipeline_id")
        return version.spec, version.pipeline_id, version.pipeline_version_id
    if pipeline_id:
        pipeline, usable = find_pipeline(uow, pipeline_id), _usable_in(tenancy, namespace)
        if usable is not None and pipeline.namespace not in usable:
            raise NotFoundError("Pipeline", pipeline_id)
        latest = uow.versions.latest(pipeline_id)
        if latest is None:
            raise FailedPreconditionError(f"pipeline {pipeline_id!r} has no version yet")
        return latest.spec, pipeline_id, latest.pipeline_version_id
    raise InvalidArgumentError("either pipeline_spec or pipeline_version_reference is required", field)


def find_usable_version(uow: UnitOfWork, tenancy: Tenancy, namespace: str, version_id: str) -> PipelineVersion:
    """A version from which something in a namespace may be made: in multi-user mode one of the namespace, or shared.

    Raises NotFoundError. Whether there is such a one elsewhere is not told.
    """
    version = uow.versions.get(version_id, _usable_in(tenancy, namespace))
    if version is None:
        raise NotFoundError("PipelineVersion", version_id)
    return version


def _usable_in(tenancy: Tenancy, namespace: str) -> tuple[str, ...] | None:
    return (SHARED, namespace) if tenancy.multi_user else None


def _note(uow: UnitOfWork, at: int, verb: str, pipeline: Pipeline, version: PipelineVersion | None = None) -> None:
    """The audit log's line; versions are pipelines for the roles, too (api.md §6.1)."""
    identifier, name = (
        (pipeline.pipeline_id, pipeline.name)
        if version is None
        else (version.pipeline_version_id, f"{pipeline.name}/{version.name}")
    )
    audit.record(uow, at, "pipelines", verb, identifier, pipeline.namespace, name)


def find_version(uow: UnitOfWork, version_id: str, *, documents: bool = True) -> PipelineVersion:
    """Raises NotFoundError."""
    version = uow.versions.get(version_id, documents=documents)
    if version is None:
        raise NotFoundError("PipelineVersion", version_id)
    return version


def _add_pipeline(uow: UnitOfWork, pipeline: Pipeline) -> None:
    if uow.pipelines.by_name(pipeline.name, pipeline.namespace):
        raise AlreadyExistsError(
            f"pipeline.name: a pipeline {pipeline.name!r} exists already. Please specify a new name"
        )
    uow.pipelines.add(pipeline)
