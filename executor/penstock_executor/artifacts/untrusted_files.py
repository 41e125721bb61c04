"""Reads files that a task could have put there: small ones, which a name alone says nothing about.

Invariants: never blocks, as opening a FIFO would; reads nothing but regular files, and of those at most so many bytes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class NoRegularFileError(OSError):
    """A directory, a FIFO, a device or, where none is followed, a link lies there."""


class TooLargeError(OSError):
    """The file has more bytes than are read."""


def read_untrusted(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The whole file. `limit` in bytes; `follow`: a link in the last part of the path is followed.

    Raises NoRegularFileError, TooLargeError, FileNotFoundError, OSError.
    """
    with _opened(path, follow=follow) as stream:
        size = os.fstat(stream.fileno()).st_size
        # It may grow while it is read.
        content = stream.read(limit + 1) if size <= limit else b""
        if size > limit or len(content) > limit:
            raise TooLargeError(f"{path} is larger than {limit} bytes")
        return content


def read_untrusted_end(path: Path, limit: int) -> bytes:
    """The last `limit` bytes of a file of any size. Raises NoRegularFileError, FileNotFoundError, OSError."""
    with _opened(path, follow=False) as stream:
        return os.pread(stream.fileno(), limit, max(0, os.fstat(stream.fileno()).st_size - limit))


def _opened(path: Path, *, follow: bool) -> BinaryIO:
    """Raises NoRegularFileError, FileNotFoundError, OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    if not follow and path.is_symlink():
        raise NoRegularFileError(f"{path} is a link")
    stream = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise NoRegularFileError(f"{path} is no file")
    return stream
