"""URIs and the paths at which a task in a Pod finds their bytes."""

from __future__ import annotations

import pytest
from penstock_executor.pod_paths import is_moved, local_form, shown_uri, stored_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://b/k/x", "/s3/b/k/x"),
        ("gs://b/k", "/gcs/b/k"),
        ("minio://b/k", "/minio/b/k"),
        ("az://c/k", "/minio/_az/c/k"),
        ("abfs://c/k", "/minio/_abfs/c/k"),
        ("file:///data/x", "/minio/_file/data/x"),
        ("file:///data/a%20b", "/minio/_file/data/a%20b"),
    ],
)
def test_there_and_back(uri: str, path: str) -> None:
    assert local_form(uri) == path
    assert stored_uri(path) == uri
    assert stored_uri(uri) == uri
    assert is_moved(uri)
    assert is_moved(path)


def test_plain_paths_are_files() -> None:
    assert local_form("/data/x") == "/minio/_file/data/x"
    assert is_moved("/data/x")


def test_what_the_agent_does_not_move() -> None:
    assert local_form("oci://host/image:tag") == "/oci/host_image:tag/models"
    assert local_form("https://host/x") is None
    assert local_form("name") is None
    assert not any(map(is_moved, ("oci://host/image:tag", "https://host/x", "name", "")))


@pytest.mark.parametrize("uri", ["s3://b/k", "gs://b/k", "minio://b/k", "oci://host/image", "https://host/x", "name"])
def test_what_the_sdk_knows_or_nobody_moves_is_shown_as_it_is(uri: str) -> None:
    assert shown_uri(uri) == uri


@pytest.mark.parametrize("uri", ["file:///data/x", "az://c/k", "abfs://c/k"])
def test_what_no_sdk_knows_is_shown_as_something_that_every_sdk_knows(uri: str) -> None:
    """SDKs before 2.5 find the path of `gs`, `s3` and `minio` alone."""
    shown = shown_uri(uri)
    assert shown.startswith("minio://_")
    assert shown.replace("minio://", "/minio/") == local_form(uri)
    assert stored_uri(shown) == uri
    assert is_moved(shown)
    assert stored_uri("minio://bucket/_file/x") == "minio://bucket/_file/x"


def test_a_plain_path_is_shown_as_the_file_that_it_is() -> None:
    assert shown_uri("/data/x") == shown_uri("file:///data/x")


@pytest.mark.parametrize(
    ("former", "uri"), [("/penstock/files/data/x", "file:///data/x"), ("/az/c/k", "az://c/k"), ("/abfs/c", "abfs://c")]
)
def test_what_a_pod_of_the_release_before_says(former: str, uri: str) -> None:
    assert stored_uri(former) == uri
