"""Reads uploaded pipeline packages: YAML or JSON text, or one such file in a zip or tar.gz (api.md §1.3).

Invariants: nothing is written to disk, and names of entries are never used as paths. The unpacked content has the same
limit as a plain file, which stops a zip bomb; the number of entries and all that is unpacked to find the pipeline among
them are bounded as well.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from typing import IO

from penstock_ir.errors import InvalidSpecError, Problem

_PIPELINE = "pipeline.yaml"
_TEXT_ENDINGS = (".yaml", ".yml", ".json")
_MAX_ENTRIES = 1000
_ZIP, _GZIP = b"PK", b"\x1f\x8b"
# Every entry of a zip's directory begins with it.
_ZIP_ENTRY = b"PK\x01\x02"
# Headers of a tar beside the content.
_TAR_SLACK_BYTES = 4 * 1024 * 1024


def text_of_package(data: bytes, file_name: str, max_bytes: int) -> str:
    """The text of the pipeline. Raises InvalidSpecError, with the beginning of upstream's message."""
    if len(data) > max_bytes:
        raise _unreadable(f"it has more than {max_bytes} bytes")
    if file_name.lower().endswith(_TEXT_ENDINGS):
        content = data
    elif data[:2] == _ZIP:
        content = _from_zip(data, max_bytes)
    elif data[:2] == _GZIP:
        content = _from_tar(data, max_bytes)
    elif file_name:
        raise _unreadable("the file is none of .yaml, .yml, .json, .zip, .tar.gz")
    else:
        content = data
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is no UTF-8 text (byte {error.start})") from error


def is_packed(data: bytes) -> bool:
    """Whether the text of the pipeline may be much larger than the package."""
    return data[:2] in (_ZIP, _GZIP)


def _from_zip(data: bytes, max_bytes: int) -> bytes:
    # The library makes an object of every entry when it opens the archive.
    if data.count(_ZIP_ENTRY) > _MAX_ENTRIES:
        raise _unreadable(f"the zip archive has more than {_MAX_ENTRIES} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            with archive.open(_pipeline_entry(names)) as stream:
                return _read_bounded(stream, max_bytes)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _unreadable(f"the zip archive is broken: {error}") from error


def _from_tar(data: bytes, max_bytes: int) -> bytes:
    unpacked = _Bounded(gzip.GzipFile(fileobj=io.BytesIO(data)), 4 * max_bytes + _TAR_SLACK_BYTES)
    first: tuple[str, bytes] | None = None
    try:
        # As a stream, so that nothing is unpacked twice.
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count >= _MAX_ENTRIES:
                    raise _unreadable(f"the tar.gz archive has more than {_MAX_ENTRIES} entries")
                if not member.isfile() or not (first is None or member.name == _PIPELINE):
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                if member.name == _PIPELINE:
                    return _read_bounded(stream, max_bytes)
                first = member.name, _read_bounded(stream, max_bytes) if _is_yaml(member.name) else b""
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _unreadable(f"the tar.gz archive is broken: {error}") from error
    _pipeline_entry([first[0]] if first else [])
    assert first is not None
    return first[1]


def _pipeline_entry(names: list[str]) -> str:
    for name in names:
        if name == _PIPELINE:
            return name
    if names and _is_yaml(names[0]):
        return names[0]
    raise _unreadable("the archive has no pipeline.yaml and does not begin with a .yaml file")


def _is_yaml(name: str) -> bool:
    return name.lower().endswith((".yaml", ".yml"))


class _Bounded(io.RawIOBase):
    """A stream of which only so many bytes are read."""

    def __init__(self, stream: gzip.GzipFile, max_bytes: int) -> None:
        self._stream = stream
        self._left = max_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise _unreadable("unpacked the tar.gz archive is too large")
        return content


def _read_bounded(stream: IO[bytes], max_bytes: int) -> bytes:
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _unreadable(f"unpacked it has more than {max_bytes} bytes")
    return content


def _unreadable(reason: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"Failed to read a pipeline spec file: {reason}")])
