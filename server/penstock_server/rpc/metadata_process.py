"""The process that runs ML Metadata's store: reads calls from stdin, writes replies to stdout.

Why a process: the extension holds the GIL while it waits for its database, so a database that hangs would block the
whole server. It is started by path, without site-packages, to stay small: it passes bytes and parses no messages. It
ends with its parent.

Frames: a call is two parts (method, request), a reply three (status code as text, error text, reply); a part is its
length (4 bytes, big endian) and its bytes. The first call's method is empty and its request the connection's config.
"""

from __future__ import annotations

import ctypes
import importlib.util
import signal
import struct
import sys
from typing import IO, Any

_LENGTH = struct.Struct(">I")
_UNAVAILABLE = b"14"
_INVALID_ARGUMENT = b"3"
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def read_part(stream: IO[bytes]) -> bytes:
    """Raises EOFError when the stream has ended."""
    (length,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    return _read_exactly(stream, length)


def write_parts(stream: IO[bytes], *parts: bytes) -> None:
    """Writes the parts, each with its length as a prefix, in one write."""
    stream.write(b"".join(_LENGTH.pack(len(part)) + part for part in parts))
    stream.flush()


def main(library: str) -> None:
    """Serves calls with the extension at `library` until stdin ends; the call without a method opens the store."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # So that it ends with its parent even while the extension waits for its database.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Its variables are the server's, its memory holds the database's password: no task may read them.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    calls, replies = sys.stdin.buffer, sys.stdout.buffer
    extension = _extension(library)
    handle: Any = None
    while True:
        try:
            method, request = read_part(calls).decode(), read_part(calls)
        except EOFError:
            return
        try:
            if not method:
                handle = extension.CreateMetadataStore(request, b"")
                write_parts(replies, b"0", b"", b"")
            else:
                reply, text, code = getattr(extension, method)(handle, request)
                write_parts(replies, str(code).encode(), text, reply)
        except (RuntimeError, TypeError, ValueError) as error:
            code = _INVALID_ARGUMENT if method else _UNAVAILABLE
            write_parts(replies, code, str(error).encode("utf-8", "replace"), b"")


def _extension(library: str) -> Any:
    """Loads the compiled module alone: its package would import protobuf, grpc and more."""
    spec = importlib.util.spec_from_file_location("metadata_store_extension", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.metadata_store


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


if __name__ == "__main__":
    main(sys.argv[1])
