"""One suite for every artifact store: files here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from penstock_store.base import ArtifactStore, ArtifactStoreError
from penstock_store.files import FileArtifactStore


@pytest.fixture
def root(tmp_path: Path) -> str:
    return (tmp_path / "root").as_uri()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return FileArtifactStore(tmp_path / "root")


def test_files_and_directories_come_back(store: ArtifactStore, root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"\x00\xff")
    assert asyncio.run(store.upload(source, f"{root}/a/b"))
    assert asyncio.run(store.exists(f"{root}/a/b"))
    target = tmp_path / "target"
    asyncio.run(store.fetch(f"{root}/a/b", target))
    assert (target / "deep" / "file").read_bytes() == b"\x00\xff"


def test_what_is_not_there(store: ArtifactStore, root: str, tmp_path: Path) -> None:
    assert not asyncio.run(store.exists(f"{root}/nobody"))
    assert not asyncio.run(store.upload(tmp_path / "nobody", f"{root}/a"))


def test_nothing_is_written_outside_the_root(store: ArtifactStore, root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    with pytest.raises(ArtifactStoreError, match="outside"):
        asyncio.run(store.upload(source, f"{root}/../../escaped"))
    assert not (tmp_path.parent / "escaped").exists()
