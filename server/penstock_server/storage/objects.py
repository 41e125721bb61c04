"""Reads artifacts and logs for callers: bytes from the stores, a directory as a tar stream.

Invariants: nothing outside of the configured roots is read; no object is held in memory as a whole. Errors of stores
are turned into the server's errors here and nowhere else.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from penstock_store.base import ArtifactStoreError, Limits, ObjectReader, OutsideRootsError
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore, path_of, uri_of
from penstock_store.router import RoutedStore
from penstock_store.uris import parse

from penstock_server.domain import unpacking
from penstock_server.errors import FailedPreconditionError, NotFoundError, PermissionDeniedError, UnavailableError

_ESCAPED = re.compile(r"%(?:2[ef5]|5c|00)|[\\\x00-\x1f\x7f]", re.IGNORECASE)
_BLOCK = tarfile.BLOCKSIZE
# Shorter than the defaults, because a caller is waiting.
LIMITS = Limits(retry_seconds=10, stall=15)


def canonical_uri(uri: str) -> str | None:
    """The one form of the place that a URI names, as reading it takes it; None for one that may be taken two ways.

    A file is where it lies once links are followed.
    """
    try:
        path = path_of(uri)
        if path is not None:
            return None if "\0" in str(path) else uri_of(os.path.realpath(path))
        location = parse(uri.removesuffix("/"))
    except (ArtifactStoreError, ValueError, OSError):
        return None
    # What a client of a store may take for another key: empty and dotted segments, and characters that are escaped.
    doubtful = {"", "."} & set(location.key.split("/")) or _ESCAPED.search(location.key)
    return None if doubtful or not location.key else str(location)


def configured_store(roots: Sequence[str], config: StoreConfig, environ: Mapping[str, str]) -> RoutedStore:
    """Reads objects under `roots`, paths and URIs (at least one path), and under the roots that `config` names.

    Raises ArtifactStoreError.
    """
    files = [path for path in map(path_of, (*roots, config.default_root, *config.roots)) if path is not None]
    buckets = [root for root in roots if path_of(root) is None]
    for root in (config.default_root, *buckets):
        config = config.for_root(root)
    store = FileArtifactStore(files[0], files[1:])
    named = [*buckets, *config.named_roots()]
    return RoutedStore(config, environ, files=store, roots=named, limits=LIMITS)


class StoredObjects:
    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    @staticmethod
    def configured(roots: Sequence[str], config: StoreConfig, environ: Mapping[str, str]) -> StoredObjects:
        """Serves what `configured_store` reads. Raises ArtifactStoreError."""
        return StoredObjects(configured_store(roots, config, environ))

    def read(self, uri: str, *, offset: int = 0, max_bytes: int = 0) -> Iterator[bytes]:
        """Raises NotFoundError, FailedPreconditionError, PermissionDeniedError, UnavailableError before the first
        chunk.
        """
        if self.size(uri) is None:
            yield from unpacking.limit_bytes(self._tar(uri), max_bytes)
            return
        with _translated_errors():
            yield from self._reader.read(uri, offset=offset, length=max_bytes or None)

    def part(self, uri: str, offset: int, length: int) -> bytes:
        """Bytes of an object that is no directory, fewer where it ends. Raises what `read` does."""
        with _translated_errors():
            return b"".join(self._reader.read(uri, offset=offset, length=length))

    def size(self, uri: str) -> int | None:
        """In bytes, None of a directory. Raises what `read` does."""
        with _translated_errors():
            info = self._reader.info(uri)
        if info is None:
            raise NotFoundError("Object", uri)
        return info.size

    def _tar(self, uri: str) -> Iterator[bytes]:
        """Uncompressed, in the order of names."""
        prefix = f"{uri.rstrip('/')}/"
        with _translated_errors():
            for entry in self._reader.list(uri):
                name = entry.uri.removeprefix(prefix)
                member = tarfile.TarInfo(os.fsdecode(unquote_to_bytes(name)) if entry.uri.startswith("file:") else name)
                if entry.size is None:
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                else:
                    member.size = entry.size
                yield member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
                if entry.size:
                    yield from self._reader.read(entry.uri, length=entry.size)
                    yield b"\0" * (-entry.size % _BLOCK)
        yield b"\0" * (2 * _BLOCK)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except OutsideRootsError as error:
        raise PermissionDeniedError(str(error), resource="runs", verb="readArtifact") from error
    except ArtifactStoreError as error:
        raise (UnavailableError if error.transient else FailedPreconditionError)(str(error)) from error
