"""Previews of packed artifacts that would become large: only what is read of them is unpacked."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator

import pytest
from penstock_server.domain.unpacking import first_file
from penstock_server.errors import FailedPreconditionError


def zeros(count: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    for _ in range(count):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


def test_a_gzip_bomb_costs_what_is_read_of_it() -> None:
    packed = b"".join(zeros(100))
    asked = []

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(packed), 1000):
            asked.append(at)
            yield packed[at : at + 1000]

    content = first_file(chunks())
    assert next(content) == bytes(64 * 1024)
    content.close()  # type: ignore[attr-defined]
    assert len(asked) < 5


def test_a_tar_header_of_gigabytes_is_not_read() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        yield header.tobuf(tarfile.GNU_FORMAT)
        for _ in range(1000):
            read += 1 << 20
            yield bytes(1 << 20)

    with pytest.raises(FailedPreconditionError, match="before its first file"):
        list(first_file(chunks()))
    assert read < 16 << 20


def test_a_tar_of_directories_alone_is_given_up() -> None:
    directory = tarfile.TarInfo("d")
    directory.type = tarfile.DIRTYPE
    block = directory.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(FailedPreconditionError, match="before its first file"):
        list(first_file(block * 128 for _ in range(1000)))


def test_a_large_first_file_comes_whole() -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo("large")
        info.size = 20 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    packed = gzip.compress(content.getvalue())
    assert sum(map(len, first_file(iter([packed])))) == 20 << 20
