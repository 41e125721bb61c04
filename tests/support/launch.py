"""A TaskLaunch as tests of backends need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.engine.names import attempt_id, pod_name
from penstock_ir.artifact import Artifact
from penstock_ir.model import ArtifactDefinition, ParameterType

RUN = "6c2a7b5e-0000-4000-8000-000000000001"


def launch(
    *command: str,
    root: str,
    image: str = "python:3.11",
    path: str = "task",
    attempt: int = 1,
    run: str = RUN,
    outputs: Sequence[str] = (),
    artifacts: Sequence[str] = (),
    reads: Mapping[str, Sequence[Artifact]] | None = None,
    **fields: Any,
) -> TaskLaunch:
    """A task under the pipeline root `root`; `artifacts` are output ports, `reads` maps input ports to artifacts."""
    task_root = f"{root}/pipeline/{run}/{path}/{attempt_id(run, path, attempt)}"
    given: dict[str, Any] = {
        "key": AttemptKey(run, path, attempt),
        "task_name": path,
        "pipeline_name": "pipeline",
        "image": image,
        "command": command,
        "args": (),
        "env": (),
        "task_root": task_root,
        "inputs": {},
        "defaults": {},
        "input_artifacts": {port: tuple(many) for port, many in (reads or {}).items()},
        "input_artifact_definitions": {},
        "output_parameters": dict.fromkeys(outputs, ParameterType.STRING),
        "output_artifacts": {
            port: OutputArtifact(Artifact(port, "system.Dataset", f"{task_root}/{port}"), ArtifactDefinition(port))
            for port in artifacts
        },
        "pipeline_root": root,
        "run_display_name": "My run",
        "run_resource_name": "my-run",
        "pod_name": pod_name("my-run", path, run, path, attempt),
    }
    return TaskLaunch(**{**given, **fields})
