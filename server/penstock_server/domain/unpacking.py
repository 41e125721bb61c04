"""Unpacks gzip and tar objects for previews: the first file inside (api.md §4.2).

Invariants: pure over an iterator of bytes; everything is streamed, so a decompression bomb costs only what is read of
it; the first file has to begin within the first megabytes, so that no memory is filled with what stands before it;
content that only looks packed is passed on unchanged.
"""

from __future__ import annotations

import io
import itertools
import tarfile
import zlib
from collections.abc import Iterator

from penstock_server.errors import FailedPreconditionError

_GZIP = b"\x1f\x8b"
_TAR_MAGIC, _TAR_AT = b"ustar", 257
HEAD_BYTES = 512
_CHUNK = 64 * 1024
_MAX_BEFORE_FIRST_FILE = 8 * 1024 * 1024


def is_packed(head: bytes) -> bool:
    """Whether bytes with this beginning (at least 512 of them, if there are as many) are gzip or tar."""
    return head.startswith(_GZIP) or _is_tar(head)


def first_file(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of the first regular file in gzip, tar or both; anything else unchanged.

    Raises FailedPreconditionError, possibly after some chunks, for a broken archive.
    """
    head, chunks = peek(chunks)
    if head.startswith(_GZIP):
        yield from _first_member(_gunzip(chunks))
    else:
        yield from _first_member(chunks)


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first HEAD_BYTES bytes, and an iterator over everything including them."""
    read_chunks: list[bytes] = []
    while sum(map(len, read_chunks)) < HEAD_BYTES and (chunk := next(chunks, None)) is not None:
        read_chunks.append(chunk)
    return b"".join(read_chunks)[:HEAD_BYTES], itertools.chain(read_chunks, chunks)


def limit_bytes(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """At most `max_bytes` bytes; 0 means all."""
    remaining = max_bytes
    for chunk in chunks:
        if not max_bytes:
            yield chunk
            continue
        yield chunk[:remaining]
        remaining -= len(chunk)
        if remaining <= 0:
            return


def _is_tar(head: bytes) -> bool:
    return head[_TAR_AT : _TAR_AT + len(_TAR_MAGIC)] == _TAR_MAGIC


def _first_member(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = peek(chunks)
    if not _is_tar(head):
        yield from chunks
        return
    try:
        stream = _Stream(chunks, _MAX_BEFORE_FIRST_FILE)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    stream.unbound()
                    while data := content.read(_CHUNK):
                        yield data
                    return
    except tarfile.TarError as error:
        raise FailedPreconditionError(f"the object's tar data is broken: {error}") from error


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    # In small pieces, because what is left of one is copied whenever some of it was unpacked.
    for data in (chunk[at : at + _CHUNK] for chunk in chunks for at in range(0, len(chunk), _CHUNK)):
        while data and not inflater.eof:
            try:
                out = inflater.decompress(data, _CHUNK)
            except zlib.error as error:
                raise FailedPreconditionError(f"the object's gzip data is broken: {error}") from error
            data = inflater.unconsumed_tail
            if out:
                yield out
        if inflater.eof:
            return


class _Stream(io.RawIOBase):
    """An iterator of bytes as a file that can be read once, up to `max_bytes` as long as it is bound."""

    def __init__(self, chunks: Iterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._left: int | None = max_bytes
        self._rest = b""

    def readable(self) -> bool:
        return True

    def unbound(self) -> None:
        """From now on everything may be read."""
        self._left = None

    def read(self, size: int = -1) -> bytes:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise FailedPreconditionError("the object's tar data has too much before its first file")
        parts, wanted = [], size
        while wanted:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = (self._rest, b"") if wanted < 0 else (self._rest[:wanted], self._rest[wanted:])
            parts.append(part)
            wanted -= len(part) if wanted > 0 else 0
        return b"".join(parts)
