"""The local side of a transfer: names with `..`, links out of the directory, atomic writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_store.base import ArtifactStoreError
from penstock_store.local import atomic_file, path_inside, walk_tree


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "", "/", ".", "a/..", "a\0b"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(ArtifactStoreError, match="leads out"):
        path_inside(Path("/target"), name)


@given(st.text())
def test_a_name_never_leads_out(name: str) -> None:
    try:
        path = path_inside(Path("/target"), name)
    except ArtifactStoreError:
        return
    assert Path("/target") in Path(os.path.normpath(path)).parents


def test_empty_segments_do_not_count() -> None:
    assert path_inside(Path("/target"), "/etc//passwd/") == Path("/target/etc/passwd")


def test_links_may_lead_inside_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    inner = tmp_path / "inner"
    (inner / "blobs").mkdir(parents=True)
    (inner / "blobs" / "x").write_text("12345")
    (inner / "link").symlink_to("blobs/x")
    assert [(name, size) for name, _, size in walk_tree(inner)] == [("blobs/x", 5), ("link", 5)]
    assert [name for name, _, _ in walk_tree(inner, links=False)] == ["blobs/x"]
    (inner / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactStoreError, match="leads out"):
        list(walk_tree(inner))
    assert [name for name, _, _ in walk_tree(inner, links=False)] == ["blobs/x"]


@pytest.mark.parametrize("kind", ["fifo", "link to a directory", "dangling link"])
def test_what_cannot_be_stored_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "directory").mkdir()
    if kind == "fifo":
        os.mkfifo(tmp_path / "odd")
    else:
        (tmp_path / "odd").symlink_to("directory" if kind == "link to a directory" else "nobody")
    with pytest.raises(ArtifactStoreError, match="odd"):
        list(walk_tree(tmp_path))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    with pytest.raises(RuntimeError), atomic_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with atomic_file(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]
