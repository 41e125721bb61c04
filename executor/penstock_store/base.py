"""The port through which bytes of artifacts and logs are moved and read.

Why a package of its own: the executor, the agent in a Pod and the server all reach the same objects, and server and
executor never import each other. Importing this module imports no client library, so that the agent starts fast.

Invariants: a URI is written once, so an object never changes, unless a task named it itself; a failure is an
ArtifactStoreError that names the URI and what to do; `transient` failures were retried already, within `Limits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ArtifactStoreError(Exception):
    """Bytes could not be moved; the text names the URI and what to do. `transient` says whether a retry may help."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class NoStoreError(ArtifactStoreError):
    """No store is configured for the URI, so it is unknown whether anything exists there."""


class OutsideRootsError(ArtifactStoreError):
    """The URI is outside of the roots that this store may serve."""


class ContentError(ArtifactStoreError):
    """The content is at fault, not the store: it is no file or directory, it cannot be read, or the URI has other
    content already.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds. `retry_seconds`: how long transient failures are retried. `timeout`: for a transfer as a whole.
    `stall`: for a server to send the next bytes. `connect`: for a connection to be made.
    """

    retry_seconds: float = 60.0
    timeout: float = 3600.0
    stall: float = 30.0
    connect: float = 5.0


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`size` in bytes; None for a directory, that is, a prefix with objects under it."""

    uri: str
    size: int | None


class ArtifactStore(Protocol):
    """Moves files and directories between URIs and local paths. Errors: ArtifactStoreError."""

    def local_path(self, uri: str) -> Path | None:
        """The path where the bytes of `uri` already are on this machine (file stores), or None."""
        ...

    async def fetch(self, uri: str, target: Path) -> bool:
        """Copies the object, or everything under the prefix, to `target`. False when there is nothing."""
        ...

    async def content(self, uri: str, limit: int) -> bytes | None:
        """The bytes of one object; None when there is none. Raises ContentError for one of more than `limit` bytes, of
        which no more than that is read."""
        ...

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        """Copies a file or directory to `uri`. False when `source` does not exist. Raises ContentError.

        With `replace` existing files are overwritten, other files of a directory stay; without it existing files must
        have the same content. A file never replaces a directory, nor a directory a file.
        """
        ...

    async def write(self, content: bytes, uri: str) -> None:
        """Like `upload` of a file with this content, which fits in memory."""
        ...

    async def create(self, content: bytes, uri: str) -> None:
        """Like `write`, in one request where the store can: for a URI below which nobody else stores anything, since
        it is not asked whether a directory lies there.
        """
        ...

    async def exists(self, uri: str) -> bool: ...

    def for_root(self, root: str) -> ArtifactStore:
        """This store with the settings in the query string of a pipeline root, which come before all others."""
        ...


class ObjectReader(Protocol):
    """Reads objects chunk by chunk, for the server. Blocking; called on threads."""

    def info(self, uri: str) -> ObjectInfo | None:
        """None when nothing is there."""
        ...

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of one object from `offset` on. Raises ArtifactStoreError before the first piece."""
        ...

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """The objects under a prefix, in order of their keys."""
        ...
