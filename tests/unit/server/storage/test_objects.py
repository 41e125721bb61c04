"""Which objects the server reads: below its roots, and those that the stores' configuration names."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from penstock_server.errors import FailedPreconditionError, NotFoundError, PermissionDeniedError
from penstock_server.storage.objects import StoredObjects
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.files import path_of, uri_of


@pytest.fixture
def objects(tmp_path: Path) -> StoredObjects:
    for name in ("artifacts/set/b/two", "artifacts/set/one", "work/log", "models/m", "elsewhere/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "artifacts" / "set" / "empty").mkdir()
    (tmp_path / "artifacts" / "set" / "link").symlink_to(tmp_path / "elsewhere" / "x")
    config = StoreConfig(roots=((tmp_path / "models").as_uri(), "s3://bucket/prefix"))
    return StoredObjects.configured([str(tmp_path / "artifacts"), (tmp_path / "work").as_uri()], config, {})


@pytest.mark.parametrize("name", ["artifacts/set/one", "work/log", "models/m"])
def test_what_lies_below_the_roots(objects: StoredObjects, tmp_path: Path, name: str) -> None:
    for uri in (str(tmp_path / name), (tmp_path / name).as_uri()):
        assert b"".join(objects.read(uri)).decode() == name
        assert b"".join(objects.read(uri, offset=2, max_bytes=3)).decode() == name[2:5]
        assert objects.size(uri) == len(name)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("{root}/elsewhere/x", PermissionDeniedError),
        ("{root}/artifacts/../elsewhere/x", PermissionDeniedError),
        ("{root}/artifacts/set/link", PermissionDeniedError),
        ("s3://bucket/other", PermissionDeniedError),
        ("s3://bucket/prefixed", PermissionDeniedError),
        ("minio://bucket/prefix/x", PermissionDeniedError),
        ("s3://bucket/prefix/../other", FailedPreconditionError),
        ("https://example.org/x", FailedPreconditionError),
        ("{root}/artifacts/none", NotFoundError),
    ],
)
def test_what_does_not(objects: StoredObjects, tmp_path: Path, uri: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        next(objects.read(uri.format(root=tmp_path)))


def test_names_that_are_not_utf8(objects: StoredObjects, tmp_path: Path) -> None:
    directory = tmp_path / "artifacts" / "latin-1"
    directory.mkdir()
    name = os.fsdecode("naïve\n%.txt".encode("latin-1"))
    (directory / name).write_text("there")
    for uri in (str(directory), directory.as_uri()):
        with tarfile.open(fileobj=io.BytesIO(b"".join(objects.read(uri)))) as archive:
            (member,) = archive
            assert member.name == name
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == b"there"
    assert path_of(uri_of(directory / name)) == directory / name
    assert b"".join(objects.read(uri_of(directory / name))) == b"there"


def test_a_directory_is_a_tar_file(objects: StoredObjects, tmp_path: Path) -> None:
    uri = f"{tmp_path}/artifacts/set"
    assert objects.size(uri) is None
    data = b"".join(objects.read(uri))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [(member.name, member.isdir(), member.size) for member in archive]
    assert found == [("b/two", False, 19), ("empty", True, 0), ("one", False, 17)]
    assert b"".join(objects.read(uri, max_bytes=700)) == data[:700]


def test_a_root_that_is_none() -> None:
    with pytest.raises(ArtifactStoreError, match="no pipeline root"):
        StoredObjects.configured(["/artifacts", "s3:bucket"], StoreConfig(), {})
