"""Where a task finds its files in its Pod, and the command line that follows (docs/pods.md, executor.md §3.5).

Invariants: the mapping of URIs to paths is the SDK's, which knows nothing of us; a URI of a scheme it does not know is
shown as it is and moved by nobody. A `file://` URI is shown as a path, because the SDK takes it for one.
"""

from __future__ import annotations

from typing import Any

from penstock_executor.artifacts.base import Artifact
from penstock_executor.backends.base import TaskLaunch
from penstock_executor.engine.placeholders import executor_input, resolve_command

SCRATCH = "/tmp/kfp"
OUTPUT_PARAMETERS = f"{SCRATCH}/outputs"
WORKSPACE = "/kfp-workspace"
FILES = "/penstock/files"
_SCHEMES = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}


def local_form(uri: str) -> str | None:
    """The path of a URI's bytes in the Pod; None for a scheme that is not moved."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return f"{FILES}{uri}" if uri.startswith("/") else None
    if scheme == "file":
        return f"{FILES}/{rest.lstrip('/')}"
    if scheme == "oci":
        return f"/oci/{rest.replace('/', '_')}/models"
    prefix = _SCHEMES.get(scheme)
    return f"{prefix}/{rest}" if prefix else None


class TaskPlaces:
    """One task's view of its files."""

    def __init__(self, task: TaskLaunch) -> None:
        self._task = task
        self.root = local_form(task.task_root) or SCRATCH
        self.metadata = f"{self.root}/output_metadata.json"
        """The SDK takes the directory of this file for the task's root."""

    def path(self, artifact: Artifact) -> str:
        """Where the artifact's bytes are; its URI when nobody brings them."""
        path = local_form(artifact.uri)
        if path is None:
            return artifact.uri
        return f"{WORKSPACE}/.artifacts{path}" if artifact.workspace else path

    def shown_uri(self, artifact: Artifact) -> str:
        """The URI in the executor input."""
        if artifact.uri.startswith(("file://", "/")):
            return local_form(artifact.uri) or artifact.uri
        return artifact.uri

    def stored_uri(self, shown: str) -> str:
        """The inverse of `shown_uri`, for what the task says of its outputs."""
        return f"file://{shown[len(FILES) :]}" if shown.startswith(f"{FILES}/") else shown

    def parameter(self, name: str) -> str:
        return f"{OUTPUT_PARAMETERS}/{name}"

    def executor_input(self) -> dict[str, Any]:
        task = self._task
        document = executor_input(
            task,
            local_uri=self.shown_uri,
            output_parameter_dir=OUTPUT_PARAMETERS,
            output_file=self.metadata,
            uri_of_output=lambda port: self.shown_uri(task.output_artifacts[port].artifact),
        )
        for port, artifacts in task.input_artifacts.items():
            for artifact, shown in zip(artifacts, document["inputs"]["artifacts"][port]["artifacts"], strict=True):
                # A path in the producer's Pod means nothing here.
                shown.pop("customPath", None)
                if artifact.workspace:
                    shown["metadata"]["_kfp_workspace"] = True
        return document

    def command(self) -> list[str]:
        """Command and args of the user, resolved."""
        return resolve_command(self._task, self.executor_input(), self.path)
