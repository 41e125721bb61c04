"""The port through which bytes of artifacts and logs are moved and read.

Why a package of its own: the executor, the agent in a Pod and the server all reach the same objects, and server and
executor never import each other. Importing this module imports no client library: the agent starts light.

Invariants: a URI is written once, so an object never changes, unless a task named it itself; a failure is an
ArtifactStoreError that names the URI and what to do; `transient` failures were retried already, within the store's own
deadline.
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
    """Nothing here leads to the place: neither whether something lies there nor what can be known."""


class OutsideRootsError(ArtifactStoreError):
    """The place is none that this store was told to serve."""


class ContentError(ArtifactStoreError):
    """The store is well, what was to be stored is at fault: it is no file or directory, it cannot be read, or something
    else lies at its place already."""


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds. `patience`: how long a request that may succeed later is repeated. `timeout`: how long a transfer may
    take as a whole. `stall`: how long a server may say nothing, `connect`: how long it may take to be reached.
    """

    patience: float = 60.0
    timeout: float = 3600.0
    stall: float = 30.0
    connect: float = 5.0


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """`size` in bytes; None of a directory, which is what lies under a prefix."""

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

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        """Copies a file or directory to `uri`. False when `source` does not exist. Raises ContentError.

        With `replace` files that lie there already are overwritten, what else lies in a directory stays; without it
        they must be the same. A file never takes the place of a directory, nor the other way round.
        """
        ...

    async def write(self, content: bytes, uri: str) -> None:
        """As `upload` of a file with this content, which is small enough to be held."""
        ...

    async def exists(self, uri: str) -> bool: ...


class ObjectReader(Protocol):
    """Reads objects piece by piece, for whoever serves them. Blocking; called on threads."""

    def info(self, uri: str) -> ObjectInfo | None:
        """None when nothing is there."""
        ...

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of one object from `offset` on. Raises ArtifactStoreError before the first piece."""
        ...

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """The objects under a prefix, in order of their keys."""
        ...
