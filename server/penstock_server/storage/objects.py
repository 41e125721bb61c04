"""Reads artifacts and logs that lie in files.

Invariants: only what really lies below one of the roots, after following links, is ever opened; nothing is read whole.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock_server.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, PermissionDeniedError

_CHUNK = 256 * 1024


class FileObjects:
    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in roots]

    def read(self, uri: str, *, offset: int = 0, max_bytes: int = 0) -> Iterator[bytes]:
        """Raises NotFoundError, FailedPreconditionError, PermissionDeniedError before the first chunk."""
        path = self._path(uri)
        if path.is_dir():
            yield from _tar(path, max_bytes)
            return
        left = max_bytes or None
        with path.open("rb") as stream:
            stream.seek(offset)
            while chunk := stream.read(_CHUNK if left is None else min(_CHUNK, left)):
                yield chunk
                if left is not None:
                    left -= len(chunk)

    def size(self, uri: str) -> int | None:
        """In bytes, None of a directory."""
        path = self._path(uri)
        return None if path.is_dir() else path.stat().st_size

    def _path(self, uri: str) -> Path:
        parts = urlsplit(uri)
        if parts.scheme not in ("file", ""):
            raise FailedPreconditionError(f"{uri}: this server reads files only, not {parts.scheme}://")
        if "\0" in unquote(parts.path):
            raise InvalidArgumentError("it holds a NUL character", "uri")
        path = Path(os.path.realpath(unquote(parts.path)))
        if not any(path == root or root in path.parents for root in self._roots):
            raise PermissionDeniedError(f"{uri} lies outside the artifact root")
        if not path.exists():
            raise NotFoundError("Object", uri)
        return path


class _Pipe:
    """Collects what tarfile writes between two members."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def _tar(directory: Path, max_bytes: int) -> Iterator[bytes]:
    """A directory as an uncompressed tar stream, one member in memory at a time; links are left out."""
    sent = 0
    pipe = _Pipe()
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for path in sorted(directory.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            archive.add(path, arcname=str(path.relative_to(directory)), recursive=False)
            data = pipe.drain()
            sent += len(data)
            yield data
            if max_bytes and sent >= max_bytes:
                return
    yield pipe.drain()
