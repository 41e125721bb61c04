"""URIs of artifacts, and the paths at which tasks see them (executor.md §3.5, §7).

Invariants: pure. URIs of object stores are literal, nothing in them is percent-encoded, as Kubeflow Pipelines writes
them; `file://` URIs are. What climbs with `..` is refused, so that a path made of a URI stays where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from penstock_store.base import ArtifactStoreError
from penstock_store.files import path_of, uri_of

_OBJECT = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#\s]+)(?:/(.*))?", re.DOTALL)
_ROOT = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#\s]+)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)
_LOCAL = {"gs": "gcs", "s3": "s3", "minio": "minio", "az": "az", "abfs": "abfs"}
FILES = "/penstock/files"
"""Where tasks in Pods see what has a `file://` URI."""

WORKSPACE = "/kfp-workspace"


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
    """`scheme://bucket[/prefix][?query]`: where a run keeps its artifacts, and settings of the store for it."""

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


def join(root: str, *names: str) -> str:
    """The URI of something under a root, whose query is dropped."""
    return "/".join((root.split("?", 1)[0].rstrip("/"), *names))


def local_form(uri: str, *, workspace: bool = False) -> str:
    """The path at which a task finds the bytes of `uri`; `workspace`: in the run's workspace.

    Raises ArtifactStoreError for `..` and for schemes without such a place.
    """
    if workspace:
        local = local_form(uri)
        if local.startswith(("/gcs/", "/s3/", "/minio/")):
            return f"{WORKSPACE}/.artifacts{local}"
        raise ArtifactStoreError(f"{uri}: only gs://, s3:// and minio:// artifacts can be put into a workspace")
    path = path_of(uri)
    if path is not None:
        _check_segments(uri, str(path))
        return f"{FILES}{path}"
    where = parse(uri)
    if where.scheme == "oci":
        return f"/oci/{f'{where.bucket}/{where.key}'.replace('/', '_')}/models"
    if where.scheme not in _LOCAL:
        raise ArtifactStoreError(f"{uri}: {where.scheme}:// has no place in a task; use one of {', '.join(_LOCAL)}")
    return f"/{_LOCAL[where.scheme]}/{where.bucket}/{where.key}"


def uri_of_local(path: str) -> str | None:
    """The URI whose `local_form` is `path`; None when it is no such path."""
    if path.startswith(f"{FILES}/"):
        return uri_of(path.removeprefix(FILES))
    for scheme, directory in _LOCAL.items():
        if path.startswith(f"/{directory}/") and len(path) > len(directory) + 2:
            return f"{scheme}://{path[len(directory) + 2 :]}"
    return None


def _check_segments(uri: str, path: str) -> None:
    if ".." in path.split("/") or "\0" in path:
        raise ArtifactStoreError(f"{uri}: '..' and NUL are not allowed in the place of an artifact")
