"""Artifacts in files: which URIs name one, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_store.base import ArtifactStoreError
from penstock_store.files import FileArtifactStore, path_of, uri_of


def test_uris_of_files() -> None:
    path = Path("/a b/#c")
    assert path_of(uri_of(path)) == path_of(str(path)) == path


@pytest.mark.parametrize("uri", ["http://[::1", "file://[::1/a", "file://host/a", "s3://bucket/key", "", "a"])
def test_uris_of_no_file(uri: str) -> None:
    assert path_of(uri) is None


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    """Whoever asks hears of it in words of the store."""
    store = FileArtifactStore(tmp_path)
    uri = uri_of(tmp_path / ("x" * 300))
    with pytest.raises(ArtifactStoreError, match="File name too long"):
        store.info(uri)
    with pytest.raises(ArtifactStoreError, match="File name too long"):
        list(store.list(uri))
    with pytest.raises(ArtifactStoreError, match="File name too long"):
        next(store.read(uri))
