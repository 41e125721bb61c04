"""The paths of a task's files in its container, and the command line with them (docs/pods.md, executor.md §3.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock_ir.artifact import Artifact

from penstock_executor.attempts import TaskLaunch
from penstock_executor.engine.placeholders import executor_input, resolve_command
from penstock_executor.pod_paths import OUTPUT_PARAMETERS, SCRATCH, WORKSPACE, local_form, shown_uri

_METADATA = "output_metadata.json"


class TaskPaths:
    """The paths of one task, as it sees them in its container."""

    def __init__(self, task: TaskLaunch) -> None:
        self._task = task
        self.root = local_form(task.task_root) or SCRATCH
        self.metadata = f"{self.root}/{_METADATA}"
        """The SDK takes the directory of this file for the task's root."""

    def path(self, artifact: Artifact) -> str:
        """Where the artifact's bytes are; its URI when nobody brings them."""
        path = local_form(artifact.uri)
        if path is None:
            return artifact.uri
        return f"{WORKSPACE}/.artifacts{path}" if artifact.workspace else path

    def shown_uri(self, artifact: Artifact) -> str:
        """The URI in the executor input."""
        return shown_uri(artifact.uri)

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

    def names_root(self, texts: Iterable[str]) -> bool:
        """Whether a program that is given `texts` can know of its root, which has a random part.

        The name of the file is found however the executor input is quoted.
        """
        return any(_METADATA in text or self.root in text for text in texts)

    def command(self) -> list[str]:
        """Command and args of the user, resolved."""
        return resolve_command(self._task, self.executor_input(), self.path)
