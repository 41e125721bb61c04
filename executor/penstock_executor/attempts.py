"""One attempt of a task: its launch and its outcome, as values.

Why in the lowest layer: the engine creates launches, backends carry them out, and the agent in a Pod reports results,
without importing each other. Invariant: this module has only data types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from penstock_ir.artifact import Artifact
from penstock_ir.event_log import FailureCause, FailureKind
from penstock_ir.gangs import GangShare
from penstock_ir.model import ArtifactDefinition, JsonValue, ParameterType
from penstock_ir.worker_sharing import AskedSharing


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Identifies one attempt of one task. `path` such as `for-loop-1[3]/train`; attempts count from 1."""

    run_id: str
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class OutputArtifact:
    """The artifact that an attempt is expected to write for one output port."""

    artifact: Artifact
    definition: ArtifactDefinition


@dataclass(frozen=True, slots=True)
class TaskLaunch:
    """A task to launch, resolved as far as possible without knowing the machine.

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
    """Wall time after which the attempt is stopped and fails; 0 means no limit."""
    ttl_succeeded: float | None = None
    """Seconds for which its Pod is kept after success; None means the installation's policy."""
    ttl_failed: float | None = None
    pipeline_root: str = ""
    run_display_name: str = ""
    run_resource_name: str = ""
    uses_workspace: bool = False
    pod_name: str = ""
    """The name of its Pod, or on one machine the name that the API shows instead; the same for every executor."""
    seen_running: bool = False
    """The attempt has started before: it is adopted or lost, but never started again."""
    may_exist: bool = False
    """An earlier holder of its run may have begun it."""
    workers: AskedSharing = ""
    """How far it asks to share a worker (docs/workers.md); empty when neither its pipeline nor its run says."""
    gang: GangShare | None = None
    """Those that it began with, or replaces one of (docs/queueing.md)."""
    together: int = 0
    """So many of its gang are launched at this moment; 0: it is launched alone, as a further attempt is."""


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """When an attempt came to its phases, in milliseconds since the epoch; 0: it has not, or nobody knows.

    Shown only (docs/attempts.md): no decision depends on it. The phases are in their order.
    """

    placed: int = 0
    """It got a place: its Pod was created, its process begun."""
    scheduled: int = 0
    """Its Pod was given a node."""
    prepared: int = 0
    """What it runs in is there: images are pulled, packages installed."""
    fetched: int = 0
    """Its input artifacts are where its program finds them."""
    started: int = 0
    finished: int = 0
    """Of its program."""
    stored: int = 0
    """Its outputs and its log are stored."""
    node: str = ""
    """The node of its Pod."""
    placement: str = ""
    """What it runs in, for people, at most 200 characters: `worker w-ab12, its 17th task`, or `a Pod of its own: the
    task names no command`."""
    log_mark: str = ""
    """What tells its lines in the log of a Pod that many attempts share (docs/workers.md): at most 63 lower-case
    letters and digits. Empty for an attempt with a Pod of its own."""


NO_TIMES = AttemptTimes()


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """The attempt's process has started. `at_millis`: wall clock of the machine that runs it."""

    key: AttemptKey
    at_millis: int
    log_uri: str = ""
    pod_name: str = ""
    times: AttemptTimes = NO_TIMES


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How an attempt ended. Parameters have their declared types; artifacts carry merged metadata."""

    key: AttemptKey
    started_at_millis: int
    finished_at_millis: int
    exit_code: int | None = None
    failure: FailureKind | None = None
    error: str = ""
    """A message for the user, with the last lines of the log if the command failed (at most 4 KiB)."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    log_uri: str = ""
    pod_name: str = ""
    times: AttemptTimes = NO_TIMES
    cause: FailureCause | None = None

    @property
    def succeeded(self) -> bool:
        return self.failure is None


@dataclass(frozen=True, slots=True)
class TaskWaiting:
    """Why the attempt does not run yet, as a message; empty when there is no reason any more. No decision depends
    on it.
    """

    key: AttemptKey
    text: str
    times: AttemptTimes = NO_TIMES


BackendEvent = Union[TaskStarted, TaskWaiting, TaskOutcome]
