"""Artifacts in object stores: S3 and what speaks it, Google Cloud Storage, Azure Blob Storage.

One client library for all of them (obstore): it costs 20 ms of processor and 20 MiB where boto3 costs 600 ms and
50 MiB, and every task that moves an artifact pays that once.

Invariants: a URI is written once: what lies there stays, and is an error unless it is the same. A file appears whole or
not at all, on either side. Memory is bounded whatever the sizes: four files at a time, four parts of each. A directory
is what lies under a prefix; an object with just that key is the object. Empty directories vanish, as upstream.
Integrity: S3's signature covers the SHA-256 of everything that is sent; what is received has the length it was said to
have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError

from penstock_store.base import ArtifactStoreError, Limits, ObjectInfo
from penstock_store.clients import credentials_of, endpoint_of, open_bucket
from penstock_store.config import Place
from penstock_store.failures import Target, failure, is_missing, is_past_the_end
from penstock_store.local import inside, tree, whole_file
from penstock_store.uris import ObjectUri, parse

if TYPE_CHECKING:
    from obstore import GetOptions

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_MAX_PARTS = 9_000
_FILES_AT_ONCE = 4
_CHUNK = 1024 * 1024
_PAGE = 1000
_T = TypeVar("_T")
_RAISED = (BaseError, ValueError, OSError)


class ObjectBucket:
    """One bucket by the settings of one place. ArtifactStore and ObjectReader."""

    def __init__(self, place: Place, where: ObjectUri, environ: Mapping[str, str], limits: Limits) -> None:
        self._place = place
        self._where = where
        self._limits = limits
        self._client = open_bucket(place, where, environ, limits)

    def local_path(self, uri: str) -> Path | None:
        return None

    async def fetch(self, uri: str, target: Path) -> bool:
        return await self._bounded(uri, self._fetch(uri, target))

    async def upload(self, source: Path, uri: str) -> bool:
        return await self._bounded(uri, self._upload(source, uri))

    async def exists(self, uri: str) -> bool:
        return await asyncio.to_thread(self.info, uri) is not None

    def info(self, uri: str) -> ObjectInfo | None:
        key = _key(uri)
        size = None
        if key:
            with self._reaching(uri):
                try:
                    size = obstore.head(self._client, key)["size"]
                except FileNotFoundError as error:
                    if not is_missing(error):
                        raise
        if size:
            return ObjectInfo(uri, size)
        # An empty object may be what tools write to mark a directory.
        if next(self.list(uri), None) is not None:
            return ObjectInfo(uri, None)
        return None if size is None else ObjectInfo(uri, size)

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        key = _key(uri)
        if length == 0:
            return
        options: GetOptions = {}
        if length is not None:
            options["range"] = (offset, offset + length)
        elif offset:
            options["range"] = {"offset": offset}
        with self._reaching(uri):
            try:
                found = obstore.get(self._client, key, options=options)
            except BaseError as error:
                if is_past_the_end(error):
                    return
                raise
            left = found.range[1] - found.range[0]
            for chunk in found.stream(_CHUNK):
                left -= len(chunk)
                yield bytes(chunk)
        self._check_whole(uri, left)

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        key = _key(uri)
        with self._reaching(uri):
            for path, size in _without_marks(
                (entry["path"], entry["size"])
                for page in obstore.list(self._client, key or None, chunk_size=_PAGE)
                for entry in page
            ):
                if path != key:
                    yield ObjectInfo(f"{self._where.scheme}://{self._where.bucket}/{path}", size)

    async def _fetch(self, uri: str, target: Path) -> bool:
        found = await asyncio.to_thread(self.info, uri)
        if found is None:
            return False
        if found.size is not None:
            await self._download(uri, target)
            return True
        prefix = f"{self._where.scheme}://{self._where.bucket}/{_key(uri)}".rstrip("/") + "/"
        with _local_errors(target):
            target.mkdir(parents=True, exist_ok=True)
        names = self.list(uri)

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            while (one := await asyncio.to_thread(next, names, None)) is not None:
                yield self._download(one.uri, inside(target, one.uri.removeprefix(prefix)))

        await _side_by_side(jobs())
        return True

    async def _download(self, uri: str, target: Path) -> None:
        key = _key(uri)
        with _local_errors(target), whole_file(target) as part:
            # Opened by hand: a temporary file would be readable by its owner alone, and tasks have users of their own.
            with part.open("xb") as file:
                with self._reaching(uri):
                    found = await obstore.get_async(self._client, key)
                    left = found.meta["size"]
                    chunks = found.stream(_CHUNK)
                while True:
                    with self._reaching(uri):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    left -= len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            self._check_whole(uri, left)

    async def _upload(self, source: Path, uri: str) -> bool:
        key = _key(uri)
        if not source.exists():
            return False
        if not key:
            raise ArtifactStoreError(f"{uri}: it names a bucket and no place in it")
        there = await asyncio.to_thread(self.info, uri)
        if source.is_file():
            if there is not None and there.size is None:
                raise ArtifactStoreError(f"{uri}: a directory lies there already; nothing is overwritten")
            await self._put(source, source.stat().st_size, uri, there)
            return True
        if there is not None and there.size is not None:
            raise ArtifactStoreError(f"{uri}: a file lies there already; nothing is overwritten")

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            files = tree(source)
            while (one := await asyncio.to_thread(next, files, None)) is not None:
                name, path, size = one
                if size is None:
                    continue
                at = f"{uri.rstrip('/')}/{name}"
                known = await asyncio.to_thread(self.info, at) if there is not None else None
                yield self._put(path, size, at, known)

        with _local_errors(source):
            await _side_by_side(jobs())
        return True

    async def _put(self, source: Path, size: int, uri: str, there: ObjectInfo | None) -> None:
        if there is not None:
            await asyncio.to_thread(self._check_same, source, size, there)
            return
        with self._reaching(uri):
            await obstore.put_async(
                self._client,
                _key(uri),
                source,
                use_multipart=size > _PART,
                chunk_size=max(_PART, -(-size // _MAX_PARTS)),
                max_concurrency=_PARTS_AT_ONCE,
            )

    def _check_same(self, source: Path, size: int, there: ObjectInfo) -> None:
        """An upload that is repeated finds what it left; anything else is somebody else's."""
        same = there.size == size
        if same:
            with _local_errors(source), source.open("rb") as file:
                same = all(file.read(len(chunk)) == chunk for chunk in self.read(there.uri))
        if not same:
            raise ArtifactStoreError(f"{there.uri}: something else lies there already; nothing is overwritten")

    async def _bounded(self, uri: str, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await asyncio.wait_for(work, self._limits.timeout)
        except asyncio.TimeoutError as error:
            raise ArtifactStoreError(
                f"{uri} at {endpoint_of(self._place)}: the transfer took more than {self._limits.timeout:g} s",
                transient=True,
            ) from error

    def _check_whole(self, uri: str, left: int) -> None:
        if left:
            raise ArtifactStoreError(
                f"{uri} at {endpoint_of(self._place)}: {abs(left)} bytes too {'few' if left > 0 else 'many'} arrived",
                transient=True,
            )

    @contextmanager
    def _reaching(self, uri: str) -> Iterator[None]:
        try:
            yield
        except _RAISED as error:
            target = Target(uri, self._where.bucket, endpoint_of(self._place), credentials_of(self._place))
            raise failure(error, target) from error


def _key(uri: str) -> str:
    return parse(uri).key.rstrip("/")


def _without_marks(entries: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Leaves out the empty objects `name/` by which tools mark directories; the library shows them as `name`."""
    held: tuple[str, int] | None = None
    for entry in entries:
        if held is not None and not entry[0].startswith(f"{held[0]}/"):
            yield held
        held = None
        if entry[1] == 0:
            held = entry
        else:
            yield entry
    if held is not None:
        yield held


async def _side_by_side(jobs: AsyncIterator[Coroutine[Any, Any, None]]) -> None:
    """A few at a time; the first failure ends the others."""
    running: set[asyncio.Task[None]] = set()
    try:
        async for job in jobs:
            running.add(asyncio.ensure_future(job))
            if len(running) >= _FILES_AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactStoreError(f"{path}: {error.strerror or error}") from error
