"""URIs of objects, and roots of pipelines (executor.md §7).

Invariants: pure. URIs of object stores are literal, not percent-encoded, as in Kubeflow Pipelines. A segment `..` is
refused, so that a path made from a URI stays below its root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from penstock_store.base import ArtifactStoreError

_OBJECT = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#\s]+)(?:/(.*))?", re.DOTALL)
_ROOT = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#\s]+)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """`key` has no slash in front; empty for the bucket as a whole."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class BucketRoot:
    """`scheme://bucket[/prefix][?query]`: where a run keeps its artifacts; the query holds settings of the store."""

    scheme: str
    bucket: str
    prefix: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


def parse(uri: str) -> ObjectUri:
    """Raises ArtifactStoreError."""
    match = _OBJECT.fullmatch(uri)
    if match is None:
        raise ArtifactStoreError(f"{uri}: this is no URI of the form scheme://bucket/key")
    scheme, bucket, key = match.groups(default="")
    _check_segments(uri, f"{bucket}/{key}")
    return ObjectUri(scheme, bucket, key)


def parse_root(uri: str) -> BucketRoot:
    """Raises ArtifactStoreError."""
    match = _ROOT.fullmatch(uri)
    if match is None:
        raise ArtifactStoreError(f"{uri}: this is no pipeline root of the form scheme://bucket[/prefix][?query]")
    scheme, bucket, prefix, query = match.groups(default="")
    _check_segments(uri, f"{bucket}/{prefix}")
    return BucketRoot(scheme, bucket, prefix.strip("/"), dict(parse_qsl(query, keep_blank_values=True)))


def scheme_of(uri: str) -> str:
    """`file` for plain absolute paths; empty for what is no URI."""
    if uri.startswith("/"):
        return "file"
    scheme, separator, _ = uri.partition("://")
    return scheme if separator else ""


def _check_segments(uri: str, path: str) -> None:
    if ".." in path.split("/") or "\0" in path:
        raise ArtifactStoreError(f"{uri}: '..' and NUL are not allowed in the place of an artifact")
