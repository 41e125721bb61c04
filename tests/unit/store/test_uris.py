"""URIs of objects, and roots of pipelines (executor.md §7)."""

from __future__ import annotations

import pytest
from penstock_store.base import ArtifactStoreError
from penstock_store.uris import BucketRoot, ObjectUri, parse, parse_root, scheme_of


@pytest.mark.parametrize("uri", ["s3://b/../k", "gs://b/a/..", "s3://../k", "s3://b/\0"])
def test_nothing_climbs(uri: str) -> None:
    for read in (parse, parse_root):
        with pytest.raises(ArtifactStoreError, match=r"'\.\.'"):
            read(uri)


@pytest.mark.parametrize("uri", ["", "b/k", "s3:/b/k", "s3:///k", "S3://b/k", "://b/k"])
def test_what_is_no_uri(uri: str) -> None:
    with pytest.raises(ArtifactStoreError, match="no URI"):
        parse(uri)
    with pytest.raises(ArtifactStoreError, match="no pipeline root"):
        parse_root(uri)


def test_objects_are_literal_and_roots_have_queries() -> None:
    assert parse("s3://b/a%20b?c#d") == ObjectUri("s3", "b", "a%20b?c#d")
    assert str(parse("s3://b/a%20b?c#d")) == "s3://b/a%20b?c#d"
    assert parse("gs://b") == ObjectUri("gs", "b", "")
    root = parse_root("minio://b/v2/artifacts/?endpoint=http%3A%2F%2Fm%3A9000&x=")
    assert root == BucketRoot("minio", "b", "v2/artifacts", {"endpoint": "http://m:9000", "x": ""})
    assert parse_root("s3://b") == BucketRoot("s3", "b")


@pytest.mark.parametrize(
    ("uri", "scheme"), [("s3://b/k", "s3"), ("file:///x", "file"), ("/x", "file"), ("x", ""), ("", ""), ("s3:/x", "")]
)
def test_schemes(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme
