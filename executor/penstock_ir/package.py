"""Reads uploaded pipeline packages: YAML or JSON text, or one such file in a zip or tar.gz (api.md §1.3).

Invariants: nothing is written to disk, and names of entries are never used as paths; the unpacked content has the same
limit as a plain file, which stops a zip bomb.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from typing import IO

from penstock_ir.errors import InvalidSpecError, Problem

_TEXT_ENDINGS = (".yaml", ".yml", ".json")
_MAX_ENTRIES = 1000


def text_of_package(data: bytes, file_name: str, max_bytes: int) -> str:
    """The text of the pipeline. Raises InvalidSpecError, with the beginning of upstream's message."""
    if len(data) > max_bytes:
        raise _unreadable(f"it has more than {max_bytes} bytes")
    if file_name.lower().endswith(_TEXT_ENDINGS):
        content = data
    elif data[:2] == b"PK":
        content = _from_zip(data, max_bytes)
    elif data[:2] == b"\x1f\x8b":
        content = _from_tar(data, max_bytes)
    elif file_name:
        raise _unreadable("the file is none of .yaml, .yml, .json, .zip, .tar.gz")
    else:
        content = data
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is no UTF-8 text (byte {error.start})") from error


def _from_zip(data: bytes, max_bytes: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [entry.filename for entry in archive.infolist()[:_MAX_ENTRIES] if not entry.is_dir()]
            with archive.open(_pipeline_entry(names)) as stream:
                return _read_bounded(stream, max_bytes)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _unreadable(f"the zip archive is broken: {error}") from error


def _from_tar(data: bytes, max_bytes: int) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            members = []
            for member in archive:
                if member.isfile():
                    members.append(member)
                if len(members) >= _MAX_ENTRIES or archive.offset > 4 * max_bytes:
                    break
            name = _pipeline_entry([member.name for member in members])
            stream = archive.extractfile(next(member for member in members if member.name == name))
            assert stream is not None
            return _read_bounded(stream, max_bytes)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _unreadable(f"the tar.gz archive is broken: {error}") from error


def _pipeline_entry(names: list[str]) -> str:
    for name in names:
        if name == "pipeline.yaml":
            return name
    if names and names[0].lower().endswith((".yaml", ".yml")):
        return names[0]
    raise _unreadable("the archive has no pipeline.yaml and does not begin with a .yaml file")


def _read_bounded(stream: IO[bytes], max_bytes: int) -> bytes:
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _unreadable(f"unpacked it has more than {max_bytes} bytes")
    return content


def _unreadable(reason: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"Failed to read a pipeline spec file: {reason}")])
