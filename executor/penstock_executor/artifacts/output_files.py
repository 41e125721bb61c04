"""Reads the files in which a task writes its output parameters and its output_metadata.json (executor.md §3.3).

Why apart from `outputs`: the agent in a Pod needs only this, and has to start fast.

Invariants: only regular files are read, whole or not at all, and only as UTF-8; size limits bound the memory used. The
text of an OutputError names the output.
"""

from __future__ import annotations

from pathlib import Path

from penstock_executor.artifacts.untrusted_files import NoRegularFileError, TooLargeError, read_untrusted

MAX_PARAMETER_BYTES = 16 * 1024 * 1024
MAX_METADATA_BYTES = 4 * MAX_PARAMETER_BYTES


class OutputError(Exception):
    """An output of the task is missing or malformed; the text names the output."""


class NotWrittenError(OutputError):
    """The file of a declared output parameter does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the task did not write its output parameter {name!r}")


class NoTextError(OutputError):
    """The file of an output parameter is not valid UTF-8."""

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
        return read_untrusted(path, limit, follow=True)
    except NoRegularFileError as error:
        raise OutputError(f"{name} cannot be read: it is no file") from error
    except TooLargeError as error:
        raise OutputError(f"{name} is larger than {limit} bytes") from error
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{name} cannot be read: {error.strerror or error}") from error
