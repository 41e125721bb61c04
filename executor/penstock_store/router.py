"""The store that programs use: it hands every URI to the store of its scheme and bucket.

Invariants: variables are read from the `environ` of the caller, not from the process; a client is made once for each
bucket and settings, when it is first needed, and only then is the client library imported. With `roots`, nothing
outside of them is read.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_store.base import Limits, NoStoreError, ObjectInfo, OutsideRootsError
from penstock_store.config import PROVIDERS, BucketSettings, StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.uris import parse, parse_root, scheme_of

if TYPE_CHECKING:
    from penstock_store.objects import ObjectBucket


class RoutedStore:
    """ArtifactStore and ObjectReader. `files` None: `file://` is not served. `roots`: the object store URIs under which
    every requested URI has to be; None: no restriction but the credentials' own.
    """

    def __init__(
        self,
        config: StoreConfig,
        environ: Mapping[str, str],
        *,
        files: FileArtifactStore | None = None,
        roots: Sequence[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._config = config
        self._environ = dict(environ)
        self._files = files
        self._roots = None if roots is None else [parse_root(root) for root in roots]
        self._limits = limits or Limits()
        self._buckets: dict[tuple[BucketSettings, str, str], ObjectBucket] = {}
        self._lock = threading.Lock()

    def for_root(self, root: str) -> RoutedStore:
        """It shares the clients of this one. Raises ArtifactStoreError for settings that are wrong."""
        rooted = copy.copy(self)
        rooted._config = self._config.for_root(root)  # noqa: SLF001 - a copy of this object
        return rooted

    def local_path(self, uri: str) -> Path | None:
        return self._files.local_path(uri) if self._files is not None and scheme_of(uri) == "file" else None

    async def fetch(self, uri: str, target: Path) -> bool:
        return await self._store(uri).fetch(uri, target)

    async def content(self, uri: str, limit: int) -> bytes | None:
        return await self._store(uri).content(uri, limit)

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        return await self._store(uri).upload(source, uri, replace=replace)

    async def write(self, content: bytes, uri: str) -> None:
        await self._store(uri).write(content, uri)

    async def create(self, content: bytes, uri: str) -> None:
        await self._store(uri).create(content, uri)

    async def exists(self, uri: str) -> bool:
        return await self._store(uri).exists(uri)

    def info(self, uri: str) -> ObjectInfo | None:
        return self._store(uri).info(uri)

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return self._store(uri).read(uri, offset=offset, length=length)

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        return self._store(uri).list(uri)

    def _store(self, uri: str) -> FileArtifactStore | ObjectBucket:
        scheme = scheme_of(uri)
        if scheme == "file" and self._files is not None:
            return self._files
        if scheme not in PROVIDERS:
            schemes = ", ".join(
                f"{scheme_name}://" for scheme_name in (*(("file",) if self._files else ()), *PROVIDERS)
            )
            raise NoStoreError(f"{uri}: no store for it; use {schemes}")
        location = parse(uri)
        if self._roots is not None and not any(
            root.scheme == location.scheme
            and root.bucket == location.bucket
            and f"{location.key}/".startswith(f"{root.prefix}/" if root.prefix else "")
            for root in self._roots
        ):
            raise OutsideRootsError(f"{uri} lies outside the artifact roots")
        settings = self._config.settings_for(uri)
        cache_key = (settings, location.scheme, location.bucket)
        with self._lock:
            if cache_key not in self._buckets:
                from penstock_store.objects import ObjectBucket

                self._buckets[cache_key] = ObjectBucket(settings, location, self._environ, self._limits)
            return self._buckets[cache_key]
