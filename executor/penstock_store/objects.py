"""Artifacts in object stores: S3 and what speaks it, Google Cloud Storage, Azure Blob Storage.

One client library for all of them (obstore): it costs 20 ms of processor and 20 MiB where boto3 costs 600 ms and
50 MiB, and every task that moves an artifact pays that once.

Invariants: a URI is written once: what lies there stays, and is an error unless it is the same. A file appears whole or
not at all, on either side. Memory is bounded whatever the sizes: four files at a time or four parts of one. A directory
is what lies under a prefix; an object with just that key is the object. Empty directories vanish, as upstream.
Integrity: S3's signature covers the SHA-256 of everything that is sent; what is received has the length it was said to
have.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError

from penstock_store.base import ArtifactStoreError, ContentError, Limits, ObjectInfo
from penstock_store.clients import credentials_of, endpoint_of, open_bucket
from penstock_store.config import Place
from penstock_store.failures import Target, failure, is_lost_upload, is_missing, is_past_the_end
from penstock_store.local import inside, lies_there, tree, whole_file
from penstock_store.patience import Patience
from penstock_store.uris import ObjectUri, parse

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_MAX_PARTS = 9_000
_FILES_AT_ONCE = 4
_CHUNK = 256 * 1024
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

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        return await self._bounded(uri, self._upload(source, uri, replace))

    async def write(self, content: bytes, uri: str) -> None:
        await self._bounded(uri, self._upload_one(content, len(content), uri))

    async def exists(self, uri: str) -> bool:
        return await self._bounded(uri, self._look(uri)) is not None

    def info(self, uri: str) -> ObjectInfo | None:
        size = None
        if key := _key(uri):
            with self._reaching(uri), _maybe_missing():
                size = obstore.head(self._client, key)["size"]
        # An empty object may be what tools write to mark a directory.
        is_directory = not size and next(self.list(uri), None) is not None
        return _info(uri, size, is_directory=is_directory)

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        key, patience = _key(uri), Patience(self._limits.patience)
        part = _Part(offset, None if length is None else offset + length)
        while not part.done:
            with self._reaching(uri):
                try:
                    found = obstore.get(self._client, key, options=part.options())
                except BaseError as error:
                    if is_past_the_end(error):
                        return
                    raise
                part.opened(found)
                chunks = found.stream(_CHUNK)
            try:
                while not part.done:
                    with self._reaching(uri):
                        chunk = next(chunks, None)
                    yield part.taken(chunk, uri)
                    patience.progress()
            except ArtifactStoreError as error:
                time.sleep(patience.pause_after(error))

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        found = _Listing(self._where, _key(uri))
        with self._reaching(uri):
            for page in obstore.list(self._client, found.key or None, chunk_size=_PAGE):
                yield from found.of(page)
        yield from found.rest()

    async def _look(self, uri: str) -> ObjectInfo | None:
        """`info` in the event loop, where it can be ended."""
        size = None
        if key := _key(uri):
            with self._reaching(uri), _maybe_missing():
                size = (await obstore.head_async(self._client, key))["size"]
        is_directory = not size and await anext(self._entries(uri), None) is not None
        return _info(uri, size, is_directory=is_directory)

    async def _entries(self, uri: str) -> AsyncIterator[ObjectInfo]:
        """`list` in the event loop."""
        found = _Listing(self._where, _key(uri))
        pages = obstore.list(self._client, found.key or None, chunk_size=_PAGE)
        while True:
            with self._reaching(uri):
                page = await anext(pages, None)
            if page is None:
                break
            for one in found.of(page):
                yield one
        for one in found.rest():
            yield one

    async def _fetch(self, uri: str, target: Path) -> bool:
        found = await self._look(uri)
        if found is None:
            return False
        if found.size is not None:
            await self._download(uri, target)
            return True
        prefix = f"{self._where.scheme}://{self._where.bucket}/{_key(uri)}".rstrip("/") + "/"
        with _local_errors(target):
            target.mkdir(parents=True, exist_ok=True)

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            async for one in self._entries(uri):
                yield self._download(one.uri, inside(target, one.uri.removeprefix(prefix)))

        await _side_by_side(jobs())
        return True

    async def _download(self, uri: str, target: Path) -> None:
        key, patience, part = _key(uri), Patience(self._limits.patience), _Part()
        # Opened by hand: a temporary file would be readable by its owner alone, and tasks have users of their own.
        with _local_errors(target), whole_file(target) as path, path.open("xb") as file:
            while not part.done:
                with self._reaching(uri):
                    found = await obstore.get_async(self._client, key, options=part.options())
                    part.opened(found)
                    chunks = found.stream(_CHUNK)
                try:
                    while not part.done:
                        with self._reaching(uri):
                            chunk = await anext(chunks, None)
                        await asyncio.to_thread(file.write, part.taken(chunk, uri))
                        patience.progress()
                except ArtifactStoreError as error:
                    await asyncio.sleep(patience.pause_after(error))

    async def _upload(self, source: Path, uri: str, replace: bool) -> bool:
        if not lies_there(source):
            return False
        if source.is_file():
            await self._upload_one(source, source.stat().st_size, uri, replace=replace)
            return True
        there = await self._free(uri)
        if there is not None and there.size is not None:
            raise ContentError(f"{uri}: a file lies there already; nothing is overwritten")

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            files = tree(source)
            while (one := await asyncio.to_thread(next, files, None)) is not None:
                name, path, size = one
                if size is None:
                    continue
                at = f"{uri.rstrip('/')}/{name}"
                known = await self._look(at) if there is not None and not replace else None
                yield self._put(path, size, at, known, parts=1)

        with _local_errors(source):
            # All of it is looked at before any of it is stored.
            await asyncio.to_thread(deque, tree(source), 0)
            await _side_by_side(jobs())
        return True

    async def _upload_one(self, source: Path | bytes, size: int, uri: str, *, replace: bool = False) -> None:
        there = await self._free(uri)
        if there is not None and there.size is None:
            raise ContentError(f"{uri}: a directory lies there already; nothing is overwritten")
        await self._put(source, size, uri, None if replace else there, parts=_PARTS_AT_ONCE)

    async def _free(self, uri: str) -> ObjectInfo | None:
        """What lies where something is to be stored. Raises ArtifactStoreError for a URI of a bucket itself."""
        if not _key(uri):
            raise ArtifactStoreError(f"{uri}: it names a bucket and no place in it")
        return await self._look(uri)

    async def _put(self, source: Path | bytes, size: int, uri: str, there: ObjectInfo | None, *, parts: int) -> None:
        if there is not None:
            await asyncio.to_thread(self._check_same, source, size, there)
            return
        with self._reaching(uri):
            try:
                await obstore.put_async(
                    self._client,
                    _key(uri),
                    source,
                    use_multipart=size > _PART,
                    chunk_size=max(_PART, -(-size // _MAX_PARTS)),
                    max_concurrency=parts,
                )
            except FileNotFoundError as error:
                # An upload in parts that was completed, and the answer lost, is unknown when it is completed again.
                if not is_lost_upload(error) or await self._look(uri) != ObjectInfo(uri, size):
                    raise

    def _check_same(self, source: Path | bytes, size: int, there: ObjectInfo) -> None:
        """An upload that is repeated finds what it left; anything else is somebody else's."""
        same = there.size == size
        if same:
            with _opened(source) as file:
                same = all(file.read(len(chunk)) == chunk for chunk in self.read(there.uri))
        if not same:
            raise ContentError(f"{there.uri}: something else lies there already; nothing is overwritten")

    async def _bounded(self, uri: str, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await asyncio.wait_for(work, self._limits.timeout)
        except asyncio.TimeoutError as error:
            raise ArtifactStoreError(
                f"{uri} at {endpoint_of(self._place)}: the transfer took more than {self._limits.timeout:g} s",
                transient=True,
            ) from error

    @contextmanager
    def _reaching(self, uri: str) -> Iterator[None]:
        try:
            yield
        except _RAISED as error:
            target = Target(uri, self._where.bucket, endpoint_of(self._place), credentials_of(self._place))
            raise failure(error, target) from error


def _key(uri: str) -> str:
    return parse(uri).key.rstrip("/")


class _Part:
    """What is still wanted of an object, from one connection to the next."""

    def __init__(self, offset: int = 0, end: int | None = None) -> None:
        self._offset = offset
        self._end = end
        self._tag: str | None = None
        self.done = end is not None and offset >= end

    def options(self) -> GetOptions:
        options: GetOptions = {}
        if self._end is not None:
            options["range"] = (self._offset, self._end)
        elif self._offset:
            options["range"] = {"offset": self._offset}
        if self._tag is not None:
            options["if_match"] = self._tag
        return options

    def opened(self, found: GetResult) -> None:
        self._tag = found.meta["e_tag"]
        self._end = found.range[1]
        self.done = self._offset >= self._end

    def taken(self, chunk: bytes | None, uri: str) -> bytes:
        """Raises ArtifactStoreError for an end before the end."""
        if chunk is None:
            raise ArtifactStoreError(f"{uri}: it ended after {self._offset} of {self._end} bytes", transient=True)
        data = bytes(chunk)
        self._offset += len(data)
        self.done = self._end is not None and self._offset >= self._end
        return data


class _Listing:
    """The objects under a prefix, page by page, without what is none: the empty objects `name/` by which tools mark
    directories. The library shows them as `name`; what lies in the directory comes next.
    """

    def __init__(self, where: ObjectUri, key: str) -> None:
        self.key = key
        self._base = f"{where.scheme}://{where.bucket}/"
        self._held: str | None = None

    def of(self, page: Sequence[ObjectMeta]) -> Iterator[ObjectInfo]:
        for entry in page:
            path, size = entry["path"], entry["size"]
            if self._held is not None and not path.startswith(f"{self._held}/"):
                yield from self.rest()
            self._held = None
            if path == self.key:
                continue
            if size == 0:
                self._held = path
            else:
                yield ObjectInfo(self._base + path, size)

    def rest(self) -> Iterator[ObjectInfo]:
        if self._held is not None:
            yield ObjectInfo(self._base + self._held, 0)


def _info(uri: str, size: int | None, *, is_directory: bool) -> ObjectInfo | None:
    if is_directory:
        return ObjectInfo(uri, None)
    return None if size is None else ObjectInfo(uri, size)


@contextmanager
def _maybe_missing() -> Iterator[None]:
    """A question for an object that is not there is no failure."""
    try:
        yield
    except FileNotFoundError as error:
        if not is_missing(error):
            raise


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
def _opened(source: Path | bytes) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    with _local_errors(source), source.open("rb") as file:
        yield file


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactStoreError(f"{path}: {error.strerror or error}") from error
