"""The texts of the files in which a task leaves its output parameters and its output_metadata.json (executor.md §3.3).

Why apart from `outputs`: it is all that the agent in a Pod needs, and that has to start light.

Invariants: only regular files are read, whole or not at all; what is read is text; limits bound the memory of whoever
reads. An OutputError's text names the output.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_PARAMETER_BYTES = 16 * 1024 * 1024
MAX_METADATA_BYTES = 4 * MAX_PARAMETER_BYTES


class OutputError(Exception):
    """The task did not keep its word; the text names the output."""


class NotWrittenError(OutputError):
    """A declared parameter has no file."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the task did not write its output parameter {name!r}")


class NoTextError(OutputError):
    """A parameter's file is no UTF-8."""

    def __init__(self, name: str) -> None:
        super().__init__(f"output parameter {name!r} is no UTF-8 text")


def parameter_text(name: str, path: Path) -> str:
    """The text of a parameter's file. Raises OutputError."""
    data = _read(path, MAX_PARAMETER_BYTES, f"output parameter {name!r}")
    if data is None:
        raise NotWrittenError(name)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NoTextError(name) from error


def metadata_text(path: Path) -> str | None:
    """The text of output_metadata.json, None when there is none. Raises OutputError."""
    data = _read(path, MAX_METADATA_BYTES, "output_metadata.json")
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise OutputError("output_metadata.json is no valid JSON: it is no UTF-8 text") from error


def _read(path: Path, limit: int, name: str) -> bytes | None:
    try:
        # Without O_NONBLOCK a FIFO that the task left would hold us for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OutputError(f"{name} cannot be read: it is no file")
            if status.st_size > limit:
                raise OutputError(f"{name} is larger than {limit} bytes")
            return stream.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{name} cannot be read: {error.strerror or error}") from error
