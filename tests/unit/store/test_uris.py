"""URIs, and the paths at which tasks see them (executor.md §3.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_store.base import ArtifactStoreError
from penstock_store.uris import BucketRoot, ObjectUri, join, local_form, parse, parse_root, uri_of_local


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://b/k", "/gcs/b/k"),
        ("s3://b/a/b c", "/s3/b/a/b c"),
        ("minio://mlpipeline/v2/artifacts", "/minio/mlpipeline/v2/artifacts"),
        ("az://container/k", "/az/container/k"),
        ("oci://host:5000/team/img:tag", "/oci/host:5000_team_img:tag/models"),
        ("file:///data/a%20b", "/penstock/files/data/a b"),
        ("/data/plain", "/penstock/files/data/plain"),
    ],
)
def test_where_a_task_finds_it(uri: str, path: str) -> None:
    assert local_form(uri) == path


def test_the_workspace_has_places_of_its_own() -> None:
    assert local_form("gs://b/k", workspace=True) == "/kfp-workspace/.artifacts/gcs/b/k"
    assert local_form("s3://b/k", workspace=True) == "/kfp-workspace/.artifacts/s3/b/k"
    with pytest.raises(ArtifactStoreError, match="workspace"):
        local_form("oci://host/img", workspace=True)


@pytest.mark.parametrize(
    "uri", ["s3://b/../k", "gs://b/a/..", "file:///a/%2e%2e/b", "s3://../k", "s3://b/\0", "/a/../b"]
)
def test_nothing_climbs(uri: str) -> None:
    with pytest.raises(ArtifactStoreError, match=r"'\.\.'"):
        local_form(uri)


@pytest.mark.parametrize("uri", ["", "b/k", "s3:/b/k", "s3:///k", "S3://b/k", "://b/k"])
def test_what_is_no_uri(uri: str) -> None:
    with pytest.raises(ArtifactStoreError, match="no URI"):
        parse(uri)


def test_what_has_no_place_in_a_task() -> None:
    with pytest.raises(ArtifactStoreError, match="no place in a task"):
        local_form("https://example.org/x")


def test_objects_are_literal_and_roots_have_queries() -> None:
    assert parse("s3://b/a%20b?c#d") == ObjectUri("s3", "b", "a%20b?c#d")
    assert str(parse("s3://b/a%20b?c#d")) == "s3://b/a%20b?c#d"
    assert parse("gs://b") == ObjectUri("gs", "b", "")
    root = parse_root("minio://b/v2/artifacts/?endpoint=http%3A%2F%2Fm%3A9000&x=")
    assert root == BucketRoot("minio", "b", "v2/artifacts", {"endpoint": "http://m:9000", "x": ""})
    assert parse_root("s3://b") == BucketRoot("s3", "b")
    assert join("s3://b/p/?region=x", "run", "task") == "s3://b/p/run/task"


_SEGMENT = st.text(min_size=1).filter(lambda text: "/" not in text and "\0" not in text and text not in (".", ".."))


@given(scheme=st.sampled_from(["s3", "gs", "minio", "az"]), segments=st.lists(_SEGMENT, min_size=1))
def test_a_path_leads_back_to_its_uri(scheme: str, segments: list[str]) -> None:
    uri = f"{scheme}://bucket/{'/'.join(segments)}"
    assert uri_of_local(local_form(uri)) == uri


@pytest.mark.parametrize("path", ["/tmp/x", "/gcs/", "/gcs", "gcs/b/k", "/penstock/filesystem/x", ""])
def test_other_paths_lead_nowhere(path: str) -> None:
    assert uri_of_local(path) is None


def test_a_file_leads_back_to_its_uri() -> None:
    assert uri_of_local(local_form("file:///data/a%20b%25")) == "file:///data/a%20b%25"
