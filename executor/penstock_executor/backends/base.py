"""What the engine's shell asks of a place where tasks run, and what comes back.

Invariants: `launch` is idempotent by (run, path, attempt): the same attempt never has two processes or two Pods,
whoever asks and however often, also across restarts of the executor; what exists is adopted. Every launched attempt
ends in exactly one `TaskOutcome` per executor that launched or adopted it. A backend decides nothing about pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, Union

from penstock_ir.model import ArtifactDefinition, JsonValue, ParameterType
from penstock_store.base import ArtifactStore

from penstock_executor.artifacts.base import Artifact


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
    """Settings of its Pod, resolved: `penstock_executor.engine.platform` says what is in it."""
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


class BackendUnavailableError(Exception):
    """What the backend runs on does not answer; the same question may be asked again."""


class NotHeldError(Exception):
    """`launch` found that the lease of the run is not certain and made nothing. It is asked again when it is."""


class NoPlaceError(Exception):
    """`launch` found that nobody has begun the attempt and that there is no place for it; the text says why."""


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


class HeldRuns(Protocol):
    """What a backend may ask of the runs this executor holds."""

    def may_act(self, run_id: str) -> bool:
        """Whether the lease of the run is certain at this moment: asked right before anything is made for it."""
        ...

    def expects(self, key: AttemptKey) -> bool | None:
        """Whether the attempt is under way in a run held here; None when the run is not held here."""
        ...

    async def over(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that have ended or are gone, whoever held them. Raises ServerUnavailableError."""
        ...


class Backend(Protocol):
    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        """Makes ready; `deliver` is called on the event loop, never blocks, and takes duplicates."""
        ...

    async def default_root(self, namespace: str) -> str:
        """The pipeline root of new runs that name none, empty when the executor's own holds.

        Raises BackendUnavailableError."""
        ...

    async def store(self, namespace: str) -> ArtifactStore:
        """The store that leads to the artifacts of a namespace's runs, with the credentials that hold there.

        Raises BackendUnavailableError, ArtifactStoreError when the namespace's settings are wrong."""
        ...

    async def launch(self, task: TaskLaunch) -> None:
        """Starts or adopts the attempt; returns when that is certain, may wait for a free slot before. Failures of
        any kind arrive as a TaskOutcome, not as an exception, but for two: raises NotHeldError, NoPlaceError."""
        ...

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        """Takes a place for an attempt that is about to be launched, empty; or gives the reason why it has to wait.
        Cheap, and asked again and again. A place is given back with the attempt's end."""
        ...

    def unreserve(self, key: AttemptKey) -> None:
        """The launch is over: a place that nothing was made for is free again."""
        ...

    async def cancel(self, key: AttemptKey) -> None:
        """Ends the attempt (SIGTERM, SIGKILL after a grace period); it still ends in one TaskOutcome. Unknown keys
        are ignored."""
        ...

    def release(self, key: AttemptKey) -> None:
        """The attempt's outcome is committed: its Pod or directory may go, by the backend's policy. Never blocks."""
        ...

    async def forget(self, run_id: str) -> None:
        """The run is over and all of it is committed: what the backend keeps per run may go."""
        ...

    async def close(self) -> None:
        """Stops watching. Running attempts go on; a later executor adopts them."""
        ...
