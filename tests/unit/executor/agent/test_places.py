"""URIs and the paths at which a task in a Pod finds their bytes."""

from __future__ import annotations

import pytest
from penstock_executor.agent.places import is_moved, local_form, shown_uri, stored_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://b/k/x", "/s3/b/k/x"),
        ("gs://b/k", "/gcs/b/k"),
        ("minio://b/k", "/minio/b/k"),
        ("az://c/k", "/az/c/k"),
        ("abfs://c/k", "/abfs/c/k"),
        ("file:///data/x", "/penstock/files/data/x"),
        ("file:///data/a%20b", "/penstock/files/data/a%20b"),
    ],
)
def test_there_and_back(uri: str, path: str) -> None:
    assert local_form(uri) == path
    assert stored_uri(path) == uri
    assert stored_uri(uri) == uri
    assert is_moved(uri)
    assert is_moved(path)


def test_plain_paths_are_files() -> None:
    assert local_form("/data/x") == "/penstock/files/data/x"
    assert is_moved("/data/x")


def test_what_the_agent_does_not_move() -> None:
    assert local_form("oci://host/image:tag") == "/oci/host_image:tag/models"
    assert local_form("https://host/x") is None
    assert local_form("name") is None
    assert not any(map(is_moved, ("oci://host/image:tag", "https://host/x", "name", "")))


@pytest.mark.parametrize("uri", ["s3://b/k", "gs://b/k", "minio://b/k", "oci://host/image", "https://host/x", "name"])
def test_what_the_sdk_knows_or_nobody_moves_is_shown_as_it_is(uri: str) -> None:
    assert shown_uri(uri) == uri


@pytest.mark.parametrize("uri", ["file:///data/x", "/data/x", "az://c/k", "abfs://c/k"])
def test_what_the_sdk_does_not_know_is_shown_as_a_path(uri: str) -> None:
    assert shown_uri(uri) == local_form(uri)
