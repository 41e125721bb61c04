"""Where the bytes of a URI are in a task's Pod (docs/pods.md, executor.md §3.5), and the way back.

Why apart: the agent needs it and starts light, and who makes the Pod needs the same.

Invariants: the mapping is the SDK's, which knows nothing of us and of three schemes only. What is moved besides, files
and Azure's blobs, it is told to lie in a bucket of MinIO that cannot exist: every SDK since 2.0 finds the path of that,
while only those from 2.5 on take a path as it is. A URI of any other scheme is moved by nobody.
`stored_uri(local_form(uri)) == stored_uri(shown_uri(uri)) == uri` for what is moved.
"""

from __future__ import annotations

SCRATCH = "/tmp/kfp"  # noqa: S108 - a volume of the Pod's own
OUTPUT_PARAMETERS = f"{SCRATCH}/outputs"
WORKSPACE = "/kfp-workspace"
_MINIO = "/minio/"
FILES = f"{_MINIO}_file"
_TOLD = {"file": FILES, "az": f"{_MINIO}_az", "abfs": f"{_MINIO}_abfs"}
_KNOWN = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
# The longer prefixes come first.
_MOVED = {**_TOLD, **_KNOWN}
# What a Pod that an earlier release made says.
_FORMER = {"file": "/penstock/files", "az": "/az", "abfs": "/abfs"}
SHARED = (SCRATCH, WORKSPACE, *_KNOWN.values())
"""The directories that the task and its agent both see."""


def local_form(uri: str) -> str | None:
    """The path of a URI's bytes in the Pod; None for a scheme that has none."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return f"{FILES}{uri}" if uri.startswith("/") else None
    if scheme == "oci":
        return f"/oci/{rest.replace('/', '_')}/models"
    prefix = _MOVED.get(scheme)
    return f"{prefix}/{rest.lstrip('/') if scheme == 'file' else rest}" if prefix else None


def is_moved(uri: str) -> bool:
    """Whether the agent brings and takes what lies at the URI, in whichever form it is given."""
    scheme, separator, _ = stored_uri(uri).partition("://")
    return scheme in _MOVED if separator else uri.startswith("/")


def shown_uri(uri: str) -> str:
    """The URI as the task is shown it."""
    known = uri.partition("://")[0] in _KNOWN
    path = None if known or not is_moved(uri) else local_form(uri)
    return f"minio://{path.removeprefix(_MINIO)}" if path else uri


def stored_uri(shown: str) -> str:
    """The URI of what a task named by its URI or by its path in the Pod."""
    path = shown.replace("minio://_", f"{_MINIO}_", 1) if shown.startswith("minio://_") else shown
    for scheme, prefix in (*_MOVED.items(), *_FORMER.items()):
        if path.startswith(f"{prefix}/"):
            return f"{scheme}://{path[len(prefix) + (scheme != 'file') :]}"
    return shown
