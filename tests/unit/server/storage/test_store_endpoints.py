"""What a namespace's settings may make the server connect to."""

from __future__ import annotations

import pytest
from penstock_server.storage.store_endpoints import StoreEndpoints, checked_endpoint
from penstock_store.base import ArtifactStoreError
from penstock_store.config import BucketSettings, StoreConfig

OWN = StoreConfig(buckets=(BucketSettings("s3", "V", endpoint="https://own.example:9000"),))
LISTED = [checked_endpoint(one) for one in ("https://Store.example/", "https://*.oss.example", "http://10.0.0.9:9000")]
ENDPOINTS = StoreEndpoints(LISTED, OWN)


def settings(endpoint: str, path_style: bool | None = None, provider: str = "s3") -> BucketSettings:
    return BucketSettings(provider, "V", endpoint=endpoint, path_style=path_style)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://store.example", "https://Store.example"),
        ("https://STORE.example.:443/", "https://Store.example"),
        ("http://10.0.0.9:9000", "http://10.0.0.9:9000"),
        ("https://own.example:9000", "https://own.example:9000"),
        ("http://seaweedfs.kubeflow:9000", "http://seaweedfs.kubeflow:9000"),
        ("https://oss.example", "https://oss.example"),
        ("", ""),
    ],
)
def test_what_is_listed_is_used_as_it_is_listed(given: str, used: str) -> None:
    assert ENDPOINTS.permitted(settings(given)).endpoint == used
    assert ENDPOINTS.permitted(settings(given, provider="gs")).endpoint == used


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254", "http://127.0.0.1:8888", "http://localhost:8888", "https://kubernetes.default.svc",
        "http://[::1]:8888", "http://[fe80::1]", "http://store.example", "https://store.example:8443",
        "https://store.example/path", "https://evil.store.example", "https://store.example@evil.example",
        "https://store.example\\@evil.example", "https://evil.example#store.example", "garbage", "https://",
        "https://oss.example:1",
    ],
)  # fmt: skip
def test_what_is_not_listed_is_refused(endpoint: str) -> None:
    with pytest.raises(ArtifactStoreError, match=r"not among those .* --store-endpoint") as caught:
        ENDPOINTS.permitted(settings(endpoint))
    assert not caught.value.transient


def test_a_bucket_stands_before_a_host_where_the_operator_says_so() -> None:
    assert ENDPOINTS.permitted(settings("https://oss.example", path_style=False)).path_style is False
    for endpoint in ("https://store.example", "https://own.example:9000"):
        assert ENDPOINTS.permitted(settings(endpoint, path_style=True)).endpoint
        with pytest.raises(ArtifactStoreError, match="forcePathStyle"):
            ENDPOINTS.permitted(settings(endpoint, path_style=False))


@pytest.mark.parametrize(
    "text",
    ["", "store.example", "https://user@host", "http://169.254.169.254", "http://[fe80::1]:9000", "http://0.0.0.0",
     "http://224.0.0.1", "https://*.10.0.0.9", "https://*", "https://a.*.b", "https://host?x", "http://[::]:1"],
)  # fmt: skip
def test_what_is_no_endpoint_is_not_listed(text: str) -> None:
    with pytest.raises(ValueError):
        checked_endpoint(text)
