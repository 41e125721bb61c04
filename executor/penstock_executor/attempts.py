"""One attempt of a task: what has to be run, and what comes back.

Why on the ground floor: the engine says what is to be launched, backends launch it, the agent in a Pod reports on it;
none of them needs to know another for that. Invariant: values alone, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from penstock_ir.model import ArtifactDefinition, JsonValue, ParameterType

from penstock_executor.artifact import Artifact


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Identifies one attempt of one task. `path` such as `for-loop-1[3]/train`; attempts count from 1."""

    run_id: str
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class OutputArtifact:
    """Where an attempt is to leave one output port."""

    artifact: Artifact
    definition: ArtifactDefinition


@dataclass(frozen=True, slots=True)
class TaskLaunch:
    """A task, resolved as far as it can be without knowing the machine.

    `command` and `args` still hold placeholders: they are resolved by the backend with
    `penstock_executor.engine.placeholders.resolve_command`, once local paths are known. `task_root` is the URI
    `<root>/<pipeline>/<run>/<task>/<uuid>`; every output artifact lies under it as `<task_root>/<port>`.
    `inputs` holds the parameters as the executor input shows them (nulls and component defaults left out), `defaults`
    the component's defaults for parameters that are absent (seen by placeholders only, executor.md §2.4).
    """

    key: AttemptKey
    task_name: str
    pipeline_name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    task_root: str
    inputs: Mapping[str, JsonValue]
    defaults: Mapping[str, JsonValue]
    input_artifacts: Mapping[str, tuple[Artifact, ...]]
    input_artifact_definitions: Mapping[str, ArtifactDefinition]
    output_parameters: Mapping[str, ParameterType]
    output_artifacts: Mapping[str, OutputArtifact]
    resources: Mapping[str, JsonValue] = field(default_factory=dict)
    kubernetes: Mapping[str, JsonValue] = field(default_factory=dict)
    """Settings of its Pod, resolved: `penstock_executor.engine.kubernetes.platform` says what is in it."""
    namespace: str = ""
    service_account: str = ""
    deadline_seconds: float = 0.0
    """Wall time after which the attempt is ended as failed; 0 means no limit."""
    ttl_succeeded: float | None = None
    """Seconds for which its Pod stays after it has ended well; None means that the installation's policy holds."""
    ttl_failed: float | None = None
    pipeline_root: str = ""
    run_display_name: str = ""
    run_resource_name: str = ""
    uses_workspace: bool = False
    pod_name: str = ""
    """Of its Pod, or of what stands for one; the same whoever launches the attempt."""
    seen_running: bool = False
    """The attempt is known to have started: it is adopted or it is gone, never begun again."""


class FailureKind(str, Enum):
    """USER: the command failed. INFRASTRUCTURE: it never ran or its host went away. CANCELED: we ended it.
    CONFIGURATION: it cannot run here (no such command, bad image, unwritable store) and a retry will not help."""

    USER = "user"
    INFRASTRUCTURE = "infrastructure"
    CANCELED = "canceled"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """The attempt's process runs. `at_millis` from the wall clock of the machine that runs it."""

    key: AttemptKey
    at_millis: int
    log_uri: str = ""
    pod_name: str = ""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How an attempt ended. Parameters have their declared types; artifacts carry merged metadata."""

    key: AttemptKey
    started_at_millis: int
    finished_at_millis: int
    exit_code: int | None = None
    failure: FailureKind | None = None
    error: str = ""
    """Plain words for the user, with the last lines of the log when the command failed (at most 4 KiB)."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    log_uri: str = ""
    pod_name: str = ""

    @property
    def succeeded(self) -> bool:
        return self.failure is None


@dataclass(frozen=True, slots=True)
class TaskWaiting:
    """Why the attempt does not run yet, in plain words; empty when nothing can be said any more. For people: nothing is
    decided by it."""

    key: AttemptKey
    text: str


BackendEvent = Union[TaskStarted, TaskWaiting, TaskOutcome]
