"""Maps artifact URIs to paths in a task's Pod (docs/pods.md, executor.md §3.5), and back.

Why apart: both the agent, which has to start fast, and the code that makes the Pod need it.

Invariants: the mapping is the SDK's, which has paths for three schemes only. URIs of the other schemes that the agent
transfers, files and Azure's blobs, are shown to the task as a MinIO bucket that cannot exist, since no bucket's name
begins with `_`: every SDK since 2.0 maps that to a path, while only those from 2.5 on accept a path. URIs of any other
scheme are not transferred.
`stored_uri(local_form(uri)) == stored_uri(shown_uri(uri)) == uri` for transferred URIs.
"""

from __future__ import annotations

SCRATCH = "/tmp/kfp"  # noqa: S108 - a volume of the Pod's own
OUTPUT_PARAMETERS = f"{SCRATCH}/outputs"
HOME = f"{SCRATCH}/.home"
"""Of a user whom the image does not know, whose home would be `/`."""
WORKSPACE = "/kfp-workspace"
_MINIO = "/minio/"
FILES = f"{_MINIO}_file"
_AS_MINIO_BUCKET = {"file": FILES, "az": f"{_MINIO}_az", "abfs": f"{_MINIO}_abfs"}
_SDK_PREFIXES = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
# The longer prefixes come first.
_PREFIXES = {**_AS_MINIO_BUCKET, **_SDK_PREFIXES}
# The prefixes in Pods that an earlier release made.
_EARLIER_PREFIXES = {"file": "/penstock/files", "az": "/az", "abfs": "/abfs"}
SHARED = (SCRATCH, WORKSPACE, *_SDK_PREFIXES.values())
"""The directories that the containers of the task and of its agent share."""


def local_form(uri: str) -> str | None:
    """The path of a URI in the Pod; None for schemes without one."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return f"{FILES}{uri}" if uri.startswith("/") else None
    if scheme == "oci":
        return f"/oci/{rest.replace('/', '_')}/models"
    prefix = _PREFIXES.get(scheme)
    return f"{prefix}/{rest.lstrip('/') if scheme == 'file' else rest}" if prefix else None


def is_moved(uri: str) -> bool:
    """Whether the agent transfers the URI, which may be given in any of its forms."""
    scheme, separator, _ = stored_uri(uri).partition("://")
    return scheme in _PREFIXES if separator else uri.startswith("/")


def shown_uri(uri: str) -> str:
    """The form of a URI that is passed to the task."""
    has_sdk_prefix = uri.partition("://")[0] in _SDK_PREFIXES
    path = None if has_sdk_prefix or not is_moved(uri) else local_form(uri)
    return f"minio://{path.removeprefix(_MINIO)}" if path else uri


def stored_uri(shown: str) -> str:
    """The stored URI of an artifact that a task named by a shown URI or a path in the Pod."""
    path = shown.replace("minio://_", f"{_MINIO}_", 1) if shown.startswith("minio://_") else shown
    for scheme, prefix in (*_PREFIXES.items(), *_EARLIER_PREFIXES.items()):
        if path.startswith(f"{prefix}/"):
            return f"{scheme}://{path[len(prefix) + (scheme != 'file') :]}"
    return shown
