"""Where the bytes of a URI are in a task's Pod (docs/pods.md, executor.md §3.5), and the way back.

Why apart: the agent needs it and starts light, and who makes the Pod needs the same.

Invariants: the mapping is the SDK's, which knows nothing of us. What is moved besides, files and Azure's blobs, it is
shown as a path, which it takes as it is; a URI of any other scheme is moved by nobody.
`stored_uri(local_form(uri)) == uri` for what is moved.
"""

from __future__ import annotations

SCRATCH = "/tmp/kfp"
OUTPUT_PARAMETERS = f"{SCRATCH}/outputs"
WORKSPACE = "/kfp-workspace"
FILES = "/penstock/files"
_KNOWN = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
_MOVED = {**_KNOWN, "az": "/az", "abfs": "/abfs", "file": FILES}
SHARED = (SCRATCH, WORKSPACE, *_MOVED.values())
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
    return uri if known or not is_moved(uri) else local_form(uri) or uri


def stored_uri(shown: str) -> str:
    """The URI of what a task named by its URI or by its path in the Pod."""
    for scheme, prefix in _MOVED.items():
        if shown.startswith(f"{prefix}/"):
            return f"{scheme}://{shown[len(prefix) + (scheme != 'file') :]}"
    return shown
