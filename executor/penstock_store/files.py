"""Artifacts in files: the store of a laptop, and of a mounted volume claim.

Invariants: URIs are `file://` with an absolute path; writing is confined to the root, ObjectReader's reading to the
root and `readable`; files are written atomically, and existing ones are not overwritten unless that is asked for.
"""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from penstock_store.base import ArtifactStoreError, ContentError, NoStoreError, ObjectInfo, OutsideRootsError
from penstock_store.local import atomic_file, check_file, source_exists, walk_tree

_CHUNK = 256 * 1024


def path_of(uri: str) -> Path | None:
    """The path of a file URI or of a plain absolute path; None for other schemes and what cannot be parsed."""
    if uri.startswith("/"):
        return Path(uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path))) if parts.scheme == "file" and not parts.netloc else None


def uri_of(path: str | Path) -> str:
    """`file://` and the path, percent-encoded byte by byte: a name of a file need not be UTF-8."""
    return "file://" + quote(os.fsencode(path))


class FileArtifactStore:
    """ArtifactStore and ObjectReader; the latter also reads the directories `readable`, besides the root."""

    def __init__(self, root: Path, readable: Sequence[Path] = ()) -> None:
        self._root = Path(os.path.realpath(root))
        self._readable = [self._root, *(Path(os.path.realpath(path)) for path in readable)]

    def local_path(self, uri: str) -> Path | None:
        return path_of(uri)

    async def fetch(self, uri: str, target: Path) -> bool:
        source = self._path(uri)
        with _stat_errors(uri):
            if not source.exists():
                return False
        await asyncio.to_thread(_copy, source, target)
        return True

    async def content(self, uri: str, limit: int) -> bytes | None:
        return await asyncio.to_thread(_content, self._served(uri), uri, limit)

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        real = self._writable(uri)
        if not source_exists(source):
            return False
        if source.resolve() != real:
            await asyncio.to_thread(_copy_to_store, source, real, _copy_over if replace else _copy_new)
        return True

    async def write(self, content: bytes, uri: str) -> None:
        await asyncio.to_thread(_write, content, self._writable(uri))

    async def create(self, content: bytes, uri: str) -> None:
        await self.write(content, uri)

    def for_root(self, root: str) -> FileArtifactStore:
        """Files have no settings."""
        return self

    async def exists(self, uri: str) -> bool:
        path = self._path(uri)
        with _stat_errors(uri):
            if await asyncio.to_thread(path.exists):
                return True
            if self._root in path.parents and not await asyncio.to_thread(self._root.exists):
                raise NoStoreError(f"{uri}: {self._root} is not here; mount it where this program runs")
        return False

    def info(self, uri: str) -> ObjectInfo | None:
        path = self._served(uri)
        with _stat_errors(uri):
            if path.is_dir():
                return ObjectInfo(uri, None)
            return ObjectInfo(uri, path.stat().st_size) if path.is_file() else None

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._served(uri)
        with _stat_errors(uri):
            is_file = path.is_file()
        if not is_file:
            raise ArtifactStoreError(f"{uri}: no file lies there")
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                remaining = length
                while chunk := stream.read(_CHUNK if remaining is None else min(_CHUNK, remaining)):
                    yield chunk
                    if remaining is not None:
                        remaining -= len(chunk)
        except OSError as error:
            raise ArtifactStoreError(f"{uri} cannot be read: {error.strerror}") from error

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        path = self._served(uri)
        with _stat_errors(uri):
            is_directory = path.is_dir()
        if is_directory:
            for name, _, size in walk_tree(path, links=False):
                # In a plain path names are literal, in a file URI percent-encoded.
                yield ObjectInfo(f"{uri.rstrip('/')}/{name if uri.startswith('/') else quote(os.fsencode(name))}", size)

    def _path(self, uri: str) -> Path:
        path = path_of(uri)
        if path is None:
            raise NoStoreError(f"{uri}: this store keeps files only; use a file:// pipeline root")
        return path

    def _writable(self, uri: str) -> Path:
        """After following links. Raises OutsideRootsError."""
        real = Path(os.path.realpath(self._path(uri)))
        if self._root not in real.parents:
            raise OutsideRootsError(f"{uri} lies outside the artifact root {self._root}")
        return real

    def _served(self, uri: str) -> Path:
        """After following links. Raises OutsideRootsError."""
        path = self._path(uri)
        if "\0" in str(path):
            raise ArtifactStoreError(f"{uri}: it holds a NUL character")
        real = Path(os.path.realpath(path))
        if not any(real == root or root in real.parents for root in self._readable):
            raise OutsideRootsError(f"{uri} lies outside the artifact root")
        return real


@contextmanager
def _stat_errors(subject: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactStoreError(f"{subject} cannot be looked at: {error.strerror or error}") from error


def _content(path: Path, uri: str, limit: int) -> bytes | None:
    try:
        # O_NONBLOCK: opening a FIFO would block for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return None
            data = stream.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ArtifactStoreError(f"{uri} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise ContentError(f"{uri} has more than {limit} bytes")
    return data


def _copy(source: Path, target: Path) -> None:
    _copy_with(source, target, _copy_over)


def _copy_to_store(source: Path, target: Path, copy_file: Callable[[str, str], None]) -> None:
    if target.exists() and source.is_dir() != target.is_dir():
        raise ContentError(f"{target}: something else lies there already; nothing is overwritten")
    _copy_with(source, target, copy_file)


def _write(content: bytes, target: Path) -> None:
    try:
        if target.exists():
            if target.is_dir() or target.read_bytes() != content:
                raise ContentError(f"{target}: something else lies there already; nothing is overwritten")
            return
        with atomic_file(target) as part:
            part.write_bytes(content)
    except OSError as error:
        raise ArtifactStoreError(f"{target} cannot be written: {error.strerror or error}") from error


def _copy_with(source: Path, target: Path, copy_file: Callable[[str, str], None]) -> None:
    def copy_checked(file: str, destination: str) -> None:
        check_file(Path(file))
        copy_file(file, destination)

    try:
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True, copy_function=copy_checked)
        else:
            copy_checked(str(source), str(target))
    except OSError as error:
        raise ArtifactStoreError(f"{source} cannot be copied to {target}: {error}") from error


def _copy_over(source: str, target: str) -> None:
    with atomic_file(Path(target)) as part:
        shutil.copy2(source, part)


def _copy_new(source: str, target: str) -> None:
    """Leaves an existing file with the same content, as a repeated upload finds it. Raises ContentError for another."""
    if Path(target).exists():
        if not filecmp.cmp(source, target, shallow=False):
            raise ContentError(f"{target}: something else lies there already; nothing is overwritten")
        return
    _copy_over(source, target)
