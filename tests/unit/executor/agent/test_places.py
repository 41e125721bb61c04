"""URIs and the paths at which a task in a Pod finds their bytes."""

from __future__ import annotations

import pytest
from penstock_executor.agent.places import is_moved, local_form, stored_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://b/k/x", "/s3/b/k/x"),
        ("gs://b/k", "/gcs/b/k"),
        ("minio://b/k", "/minio/b/k"),
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
