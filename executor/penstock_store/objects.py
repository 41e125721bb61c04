"""Artifacts in object stores: S3 and compatible ones, Google Cloud Storage, Azure Blob Storage.

One client library for all of them (obstore): it costs 20 ms of processor and 20 MiB where boto3 costs 600 ms and
50 MiB, and every task that moves an artifact pays that once.

Invariants: a URI is written once: an existing object stays, and one with other content is an error. What has to be new
is one request with a condition; a store that refuses conditions (501) is asked first instead. Writes are atomic
on either side. Memory is bounded whatever the sizes: four files at a time or four parts of one. A directory is a prefix
with objects under it, unless there is an object with just that key. Empty directories are not stored, as upstream.
Integrity: S3's signature covers the SHA-256 of everything that is sent; the length of what is received is checked.
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
from obstore.exceptions import AlreadyExistsError, BaseError

from penstock_store.base import ArtifactStoreError, ContentError, Limits, ObjectInfo
from penstock_store.clients import credentials_of, endpoint_of, open_bucket
from penstock_store.config import BucketSettings
from penstock_store.failures import (
    Target,
    failure,
    is_lost_upload,
    is_missing,
    is_past_the_end,
    is_unexplained,
    is_unsupported,
    may_hide_absence,
)
from penstock_store.local import atomic_file, path_inside, source_exists, walk_tree
from penstock_store.retry_budget import RetryBudget
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
_CLIENT_ERRORS = (BaseError, ValueError, OSError)


class ObjectBucket:
    """One bucket: what RoutedStore hands on to."""

    def __init__(
        self, settings: BucketSettings, location: ObjectUri, environ: Mapping[str, str], limits: Limits
    ) -> None:
        self._settings = settings
        self._location = location
        self._limits = limits
        self._client = open_bucket(settings, location, environ, limits)
        self._takes_conditions = True

    def local_path(self, uri: str) -> Path | None:
        return None

    async def fetch(self, uri: str, target: Path) -> bool:
        return await self._with_timeout(uri, self._fetch(uri, target))

    async def content(self, uri: str, limit: int) -> bytes | None:
        return await self._with_timeout(uri, self._content(uri, limit))

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        return await self._with_timeout(uri, self._upload(source, uri, replace))

    async def write(self, content: bytes, uri: str) -> None:
        await self._with_timeout(uri, self._upload_one(content, len(content), uri))

    async def create(self, content: bytes, uri: str) -> None:
        await self._with_timeout(uri, self._create(content, uri))

    async def exists(self, uri: str) -> bool:
        return await self._with_timeout(uri, self._info_async(uri)) is not None

    def info(self, uri: str) -> ObjectInfo | None:
        size = None
        if key := _key(uri):
            with self._translated_errors(uri), _ignore_missing():
                size = self._size(key)
        # Tools mark a directory by an empty object of its name.
        is_directory = not size and next(self.list(uri), None) is not None
        return _info(uri, size, is_directory=is_directory)

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        key, retries = _key(uri), RetryBudget(self._limits.retry_seconds)
        remaining = _RemainingRange(offset, None if length is None else offset + length)
        # No retry of one call: each try asks for the bytes that are left, and each piece that comes renews the time.
        while not remaining.done:
            with self._translated_errors(uri):
                try:
                    response = obstore.get(self._client, key, options=remaining.options())
                except BaseError as error:
                    if is_past_the_end(error):
                        return
                    raise
                remaining.set_source(response)
                chunks = response.stream(_CHUNK)
            try:
                while not remaining.done:
                    with self._translated_errors(uri):
                        chunk = next(chunks, None)
                    yield remaining.consume(chunk, uri)
                    retries.progress()
            except ArtifactStoreError as error:
                time.sleep(retries.pause_after(error))

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        listing = _Listing(self._location, _key(uri))
        with self._translated_errors(uri):
            for page in obstore.list(self._client, listing.key or None, chunk_size=_PAGE):
                yield from listing.entries(page)
        yield from listing.flush()

    async def _info_async(self, uri: str) -> ObjectInfo | None:
        """`info` as a coroutine, which can be cancelled."""
        size = None
        if key := _key(uri):
            with self._translated_errors(uri), _ignore_missing(hidden=bool(self._settings.session_file)):
                size = await self._size_async(key)
        # Refused, too, where there is no right: who has one to a key has it to what lies below (`session_policy`).
        is_directory = not size and await anext(self._entries(uri), None) is not None
        return _info(uri, size, is_directory=is_directory)

    def _size(self, key: str) -> int:
        try:
            return obstore.head(self._client, key)["size"]
        except BaseError as error:
            if is_unexplained(error):
                # This raises what the store says; its answers to HEAD have no body.
                obstore.get(self._client, key)
            raise

    async def _size_async(self, key: str) -> int:
        try:
            return (await obstore.head_async(self._client, key))["size"]
        except BaseError as error:
            if is_unexplained(error):
                await obstore.get_async(self._client, key)
            raise

    async def _entries(self, uri: str) -> AsyncIterator[ObjectInfo]:
        """`list` as an asynchronous generator."""
        listing = _Listing(self._location, _key(uri))
        pages = obstore.list(self._client, listing.key or None, chunk_size=_PAGE)
        while True:
            with self._translated_errors(uri):
                page = await anext(pages, None)
            if page is None:
                break
            for entry in listing.entries(page):
                yield entry
        for entry in listing.flush():
            yield entry

    async def _fetch(self, uri: str, target: Path) -> bool:
        info = await self._info_async(uri)
        if info is None:
            return False
        if info.size is not None:
            await self._download(uri, target)
            return True
        prefix = f"{self._location.scheme}://{self._location.bucket}/{_key(uri)}".rstrip("/") + "/"
        with _local_errors(target):
            target.mkdir(parents=True, exist_ok=True)

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            async for entry in self._entries(uri):
                yield self._download(entry.uri, path_inside(target, entry.uri.removeprefix(prefix)))

        await _run_concurrently(jobs())
        return True

    async def _content(self, uri: str, limit: int) -> bytes | None:
        data: bytearray | None = None
        with self._translated_errors(uri), _ignore_missing():
            response = await obstore.get_async(self._client, _key(uri))
            data = bytearray()
            # No more is sent than was announced.
            if response.meta["size"] > limit:
                raise ContentError(f"{uri} has more than {limit} bytes")
            async for chunk in response.stream(_CHUNK):
                data += chunk
        return None if data is None else bytes(data)

    async def _download(self, uri: str, target: Path) -> None:
        key, retries, remaining = _key(uri), RetryBudget(self._limits.retry_seconds), _RemainingRange()
        # Not a temporary file: that would be readable by its owner alone, and tasks may run as other users.
        with _local_errors(target), atomic_file(target) as path, path.open("xb") as file:
            # No retry of one call, as in `read`.
            while not remaining.done:
                with self._translated_errors(uri):
                    response = await obstore.get_async(self._client, key, options=remaining.options())
                    remaining.set_source(response)
                    chunks = response.stream(_CHUNK)
                try:
                    while not remaining.done:
                        with self._translated_errors(uri):
                            chunk = await anext(chunks, None)
                        await asyncio.to_thread(file.write, remaining.consume(chunk, uri))
                        retries.progress()
                except ArtifactStoreError as error:
                    await asyncio.sleep(retries.pause_after(error))

    async def _upload(self, source: Path, uri: str, replace: bool) -> bool:
        if not source_exists(source):
            return False
        if source.is_file():
            await self._upload_one(source, source.stat().st_size, uri, replace=replace)
            return True
        existing = await self._existing_at(uri)
        if existing is not None and existing.size is not None:
            raise ContentError(f"{uri}: a file lies there already; nothing is overwritten")

        async def jobs() -> AsyncIterator[Coroutine[Any, Any, None]]:
            files = walk_tree(source)
            while (file := await asyncio.to_thread(next, files, None)) is not None:
                name, path, size = file
                if size is None:
                    continue
                target = f"{uri.rstrip('/')}/{name}"
                same_name = await self._info_async(target) if existing is not None and not replace else None
                yield self._put(path, size, target, same_name, parts=1)

        with _local_errors(source):
            # Every file is checked before the first one is stored.
            await asyncio.to_thread(deque, walk_tree(source), 0)
            await _run_concurrently(jobs())
        return True

    async def _upload_one(self, source: Path | bytes, size: int, uri: str, *, replace: bool = False) -> None:
        existing = await self._existing_at(uri)
        if existing is not None and existing.size is None:
            raise ContentError(f"{uri}: a directory lies there already; nothing is overwritten")
        await self._put(source, size, uri, None if replace else existing, parts=_PARTS_AT_ONCE)

    async def _create(self, content: bytes, uri: str) -> None:
        key = _key(uri)
        if key and self._takes_conditions:
            with self._translated_errors(uri):
                try:
                    await obstore.put_async(self._client, key, content, mode="create", use_multipart=False)
                    return
                except AlreadyExistsError:
                    # What lies there is compared below.
                    pass
                except BaseError as error:
                    if not is_unsupported(error):
                        raise
                    self._takes_conditions = False
        await self._upload_one(content, len(content), uri)

    async def _existing_at(self, uri: str) -> ObjectInfo | None:
        """What exists at a URI that is to be written. Raises ArtifactStoreError for a bucket without a key."""
        if not _key(uri):
            raise ArtifactStoreError(f"{uri}: it names a bucket and no place in it")
        return await self._info_async(uri)

    async def _put(self, source: Path | bytes, size: int, uri: str, existing: ObjectInfo | None, *, parts: int) -> None:
        if existing is not None:
            await asyncio.to_thread(self._check_same, source, size, existing)
            return
        with self._translated_errors(uri):
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
                # When the reply to completing a multipart upload was lost, completing it again says that it is unknown.
                if not is_lost_upload(error) or await self._info_async(uri) != ObjectInfo(uri, size):
                    raise

    def _check_same(self, source: Path | bytes, size: int, existing: ObjectInfo) -> None:
        """Accepts an object with the same content, as a repeated upload finds it. Raises ContentError for another."""
        same = existing.size == size
        if same:
            with _opened(source) as file:
                same = all(file.read(len(chunk)) == chunk for chunk in self.read(existing.uri))
        if not same:
            raise ContentError(f"{existing.uri}: something else lies there already; nothing is overwritten")

    async def _with_timeout(self, uri: str, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await asyncio.wait_for(work, self._limits.timeout)
        except asyncio.TimeoutError as error:
            raise ArtifactStoreError(
                f"{uri} at {endpoint_of(self._settings)}: the transfer took more than {self._limits.timeout:g} s",
                transient=True,
            ) from error

    @contextmanager
    def _translated_errors(self, uri: str) -> Iterator[None]:
        try:
            yield
        except _CLIENT_ERRORS as error:
            settings = self._settings
            credentials = credentials_of(settings)
            target = Target(
                uri, self._location.bucket, endpoint_of(settings), credentials, session=bool(settings.session_file)
            )
            raise failure(error, target) from error


def _key(uri: str) -> str:
    return parse(uri).key.rstrip("/")


class _RemainingRange:
    """The range of an object that is still to be read, kept across connections."""

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

    def set_source(self, response: GetResult) -> None:
        self._tag = response.meta["e_tag"]
        self._end = response.range[1]
        self.done = self._offset >= self._end

    def consume(self, chunk: bytes | None, uri: str) -> bytes:
        """The bytes of the next chunk. Raises ArtifactStoreError when the response ended too early."""
        if chunk is None:
            raise ArtifactStoreError(f"{uri}: it ended after {self._offset} of {self._end} bytes", transient=True)
        data = bytes(chunk)
        self._offset += len(data)
        self.done = self._end is not None and self._offset >= self._end
        return data


class _Listing:
    """The objects under a prefix, page by page, without the empty objects `name/` by which tools mark directories. The
    library shows such a marker as `name`, so an empty object is held back until the next one shows which it is.
    """

    def __init__(self, location: ObjectUri, key: str) -> None:
        self.key = key
        self._base = f"{location.scheme}://{location.bucket}/"
        self._pending_marker: str | None = None

    def entries(self, page: Sequence[ObjectMeta]) -> Iterator[ObjectInfo]:
        for entry in page:
            path, size = entry["path"], entry["size"]
            if self._pending_marker is not None and not path.startswith(f"{self._pending_marker}/"):
                yield from self.flush()
            self._pending_marker = None
            if path == self.key:
                continue
            if size == 0:
                self._pending_marker = path
            else:
                yield ObjectInfo(self._base + path, size)

    def flush(self) -> Iterator[ObjectInfo]:
        if self._pending_marker is not None:
            yield ObjectInfo(self._base + self._pending_marker, 0)


def _info(uri: str, size: int | None, *, is_directory: bool) -> ObjectInfo | None:
    if is_directory:
        return ObjectInfo(uri, None)
    return None if size is None else ObjectInfo(uri, size)


@contextmanager
def _ignore_missing(*, hidden: bool = False) -> Iterator[None]:
    """An object that does not exist is no failure; nor, with `hidden`, a refusal that may mean just that."""
    try:
        yield
    except _CLIENT_ERRORS as error:
        if not (is_missing(error) or (hidden and may_hide_absence(error))):
            raise


async def _run_concurrently(jobs: AsyncIterator[Coroutine[Any, Any, None]]) -> None:
    """Runs a few at a time; the first failure cancels the others."""
    running: set[asyncio.Task[None]] = set()
    try:
        async for job in jobs:
            running.add(asyncio.ensure_future(job))
            if len(running) >= _FILES_AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
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
