"""What has to be moved into and out of a task's container, to which paths (docs/pods.md), and by which store."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_ir.artifact import Artifact
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.protocol import Transfer
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.pod_paths import is_moved, local_form

OCI = "oci://"


def store_of_root(store: ArtifactStore, root: str) -> ArtifactStore:
    """The store with the settings of a run's pipeline root. Raises TaskSpecError when they are wrong."""
    try:
        return store.for_root(root)
    except ArtifactStoreError as error:
        raise TaskSpecError(f"the pipeline root cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class Transfers:
    """`models` are the inputs that are images, in the order of ports; no agent moves those."""

    inputs: tuple[Transfer, ...]
    outputs: dict[str, Transfer]
    models: tuple[Artifact, ...]
    fills_workspace: bool

    def __bool__(self) -> bool:
        return bool(self.inputs or self.outputs)

    @property
    def uses_files(self) -> bool:
        moved = (*self.inputs, *self.outputs.values())
        return any(one.uri.startswith(("file://", "/")) for one in moved)

    def paths(self) -> list[str]:
        """All paths in the container."""
        models = (local_form(model.uri) or "" for model in self.models)
        brought = (path for one in self.inputs for path in (one.path, one.link) if path)
        return [*brought, *(one.path for one in self.outputs.values()), *models]


def transfers_of(task: TaskLaunch, paths: TaskPaths) -> Transfers:
    """Raises TaskSpecError."""
    given = [artifact for port in sorted(task.input_artifacts) for artifact in task.input_artifacts[port]]
    in_workspace = any(artifact.workspace for artifact in given)
    if in_workspace and "workspace" not in task.kubernetes:
        raise TaskSpecError(
            "an input was imported into the workspace, but the pipeline has none: give it one with "
            "dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size=…))"
        )
    transfers = Transfers(
        inputs=tuple(dict.fromkeys(_input(artifact, paths) for artifact in given if is_moved(artifact.uri))),
        outputs={
            port: Transfer(output.artifact.uri, paths.path(output.artifact))
            for port, output in task.output_artifacts.items()
            if is_moved(output.artifact.uri)
        },
        models=tuple({artifact.uri: artifact for artifact in given if artifact.uri.startswith(OCI)}.values()),
        fills_workspace=in_workspace,
    )
    for one in (*transfers.inputs, *transfers.outputs.values()):
        _check_path(one)
    return transfers


def _check_path(one: Transfer) -> None:
    """Raises TaskSpecError for a path that leaves its place."""
    if ".." in one.path.split("/") or "\0" in one.path:
        raise TaskSpecError(f"{one.uri}: '..' and NUL are not allowed in the place of an artifact")


def _input(artifact: Artifact, paths: TaskPaths) -> Transfer:
    if not artifact.workspace:
        return Transfer(artifact.uri, paths.path(artifact))
    # SDKs before workspaces look where any other artifact would be.
    return Transfer(artifact.uri, paths.path(artifact), keep=True, link=local_form(artifact.uri) or "")
