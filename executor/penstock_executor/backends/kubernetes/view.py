"""A Pod, cut down to the few fields that decide about an attempt.

Why: a Pod as the API server sends it costs some 30 kB as Python objects, and an executor may see ten
thousand of them. Source: Pod v1, https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle.

Invariants: pure; a field that is missing or of another kind than documented counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_executor.attempts import AttemptKey

LABEL_INSTANCE = "penstock.dev/instance"
LABEL_RUN = "pipeline/runid"
LABEL_WORKER = "penstock.dev/worker"
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_PATH = "penstock.dev/path"
ANNOTATION_ATTEMPT = "penstock.dev/attempt"
ANNOTATION_LOG = "penstock.dev/log"
ANNOTATION_TTL_SUCCEEDED = "penstock.dev/ttl-succeeded"
ANNOTATION_TTL_FAILED = "penstock.dev/ttl-failed"

PULLING = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed"}
)
"""Waiting reasons of a container whose image could not be pulled so far."""
_OURS = ("main", "agent")
_MAX_ATTEMPT_DIGITS = 9
_TERMINAL = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Terminated:
    """How a container ended. Times in milliseconds since the epoch, 0 when unknown."""

    exit_code: int
    signal: int
    reason: str
    message: str
    started_at: int
    finished_at: int


@dataclass(frozen=True, slots=True)
class ContainerView:
    """`running_since` is 0 unless the container runs; `initial`: it is an init container, `started` one that runs
    beside the others."""

    name: str
    running_since: int = 0
    terminated: Terminated | None = None
    waiting_reason: str = ""
    waiting_message: str = ""
    initial: bool = False
    started: bool = False

    @property
    def began_at(self) -> int:
        """0 when it has not."""
        return self.running_since or (self.terminated.started_at if self.terminated else 0)


@dataclass(frozen=True, slots=True)
class PodView:
    """One Pod. `log_uri` is where its log is to be archived, `disruption` the reason of its DisruptionTarget condition,
    `unscheduled` why the scheduler found no node, `gates` are the scheduling gates that hold it back. `deleted_at` is
    when its grace ends, `delete_asked_at` when it was asked to go. Times in milliseconds since the epoch, 0 when
    unknown.
    """

    name: str
    namespace: str
    uid: str
    key: AttemptKey | None
    phase: str
    reason: str
    message: str
    created_at: int
    scheduled_at: int
    deleted_at: int
    delete_asked_at: int
    unscheduled: str
    disruption: str
    disruption_message: str
    log_uri: str
    containers: tuple[ContainerView, ...]
    ttl_succeeded: float | None = None
    """Seconds for which it stays after it has ended well, by its pipeline; None: it does not say."""
    ttl_failed: float | None = None
    gates: tuple[str, ...] = ()
    node: str = ""
    queue: str = ""
    """The local queue of Kueue that it is in."""
    queue_stop: str = ""
    """The reason of its TerminationTarget condition, with which Kueue takes its place back."""
    queue_message: str = ""
    worker: str = ""
    """The shape of the tasks that it takes one after another (`workers`); empty for a Pod of one attempt."""
    ungated_at: int = 0
    """When Kueue let it go to the scheduler, as far as the Pod itself tells: not before the last write of Kueue's."""

    @property
    def ended(self) -> bool:
        return self.phase in _TERMINAL

    def container(self, name: str) -> ContainerView | None:
        return next((one for one in self.containers if one.name == name), None)

    @property
    def only_sidecars_run(self) -> bool:
        """Whether `main` and `agent` have ended, and a container that others injected (a service mesh, say) has not."""
        regular = [one for one in self.containers if not one.initial]
        ours = [one for one in regular if one.name in _OURS]
        return (
            not self.ended
            and any(one.name == "main" for one in ours)
            and all(one.terminated is not None for one in ours)
            and any(one.terminated is None for one in regular if one.name not in _OURS)
        )

    @property
    def started_at(self) -> int:
        """When the user's container started, 0 when it has not."""
        main = self.container("main")
        return main.began_at if main is not None else 0

    @property
    def finished_at(self) -> int:
        """When the user's container ended, 0 when it has not."""
        main = self.container("main")
        return main.terminated.finished_at if main is not None and main.terminated else 0


@dataclass(frozen=True, slots=True)
class PodGlance:
    """As much of a Pod as is known of one that nobody here works with. Fields are those of `PodView`."""

    name: str
    namespace: str
    uid: str
    key: AttemptKey | None
    phase: str
    deleted_at: int

    @property
    def ended(self) -> bool:
        return self.phase in _TERMINAL


def glance_of(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> PodGlance | None:
    """None for a worker: whoever looks for one has to know all of it."""
    if LABEL_WORKER in mapping(metadata, "labels"):
        return None
    return PodGlance(
        name=text(metadata, "name"),
        namespace=text(metadata, "namespace"),
        uid=text(metadata, "uid"),
        key=_key(metadata),
        phase=text(status, "phase"),
        deleted_at=millis(metadata.get("deletionTimestamp")),
    )


def view_of(pod: Mapping[str, Any]) -> PodView:
    """Reads a Pod as the API server sends it."""
    metadata, spec, status = mapping(pod, "metadata"), mapping(pod, "spec"), mapping(pod, "status")
    scheduled, unscheduled, disruption, disruption_message = 0, "", "", ""
    queue_stop, queue_message = "", ""
    for condition in entries(status, "conditions"):
        kind, holds = condition.get("type"), condition.get("status")
        if kind == "PodScheduled":
            if holds == "True":
                scheduled = millis(condition.get("lastTransitionTime"))
            elif condition.get("reason") == "Unschedulable":
                unscheduled = text(condition, "message") or "no node fits"
        elif kind == "DisruptionTarget" and holds == "True":
            disruption, disruption_message = text(condition, "reason"), text(condition, "message")
        elif kind == "TerminationTarget" and holds == "True":
            queue_stop, queue_message = text(condition, "reason"), text(condition, "message")
    gates = tuple(text(one, "name") for one in entries(spec, "schedulingGates"))
    deleted_at = millis(metadata.get("deletionTimestamp"))
    return PodView(
        name=text(metadata, "name"),
        namespace=text(metadata, "namespace"),
        uid=text(metadata, "uid"),
        key=_key(metadata),
        phase=text(status, "phase"),
        reason=text(status, "reason"),
        message=text(status, "message"),
        created_at=millis(metadata.get("creationTimestamp")),
        scheduled_at=scheduled,
        deleted_at=deleted_at,
        delete_asked_at=max(0, deleted_at - 1000 * number(metadata, "deletionGracePeriodSeconds")),
        unscheduled=unscheduled,
        disruption=disruption,
        disruption_message=disruption_message,
        log_uri=text(mapping(metadata, "annotations"), ANNOTATION_LOG),
        containers=(
            *(_container(one) for one in entries(status, "containerStatuses")),
            *(_container(one, initial=True) for one in entries(status, "initContainerStatuses")),
        ),
        ttl_succeeded=_seconds(metadata, ANNOTATION_TTL_SUCCEEDED),
        ttl_failed=_seconds(metadata, ANNOTATION_TTL_FAILED),
        gates=gates,
        node=text(spec, "nodeName"),
        queue=text(mapping(metadata, "labels"), LABEL_QUEUE),
        queue_stop=queue_stop,
        queue_message=queue_message,
        worker=text(mapping(metadata, "labels"), LABEL_WORKER),
        ungated_at=0 if gates else _last_write(metadata, "kueue"),
    )


def _last_write(metadata: Mapping[str, Any], manager: str) -> int:
    """When that program last wrote to the object itself, not to its status."""
    written = (one for one in entries(metadata, "managedFields") if not one.get("subresource"))
    return max((millis(one.get("time")) for one in written if one.get("manager") == manager), default=0)


def _seconds(metadata: Mapping[str, Any], annotation: str) -> float | None:
    seconds = text(mapping(metadata, "annotations"), annotation)
    return float(seconds) if seconds.isdecimal() and len(seconds) < 12 else None


def millis(timestamp: Any) -> int:
    """A Kubernetes timestamp (RFC 3339, UTC) in milliseconds since the epoch; 0 for what is none."""
    if not isinstance(timestamp, str):
        return 0
    try:
        return int(datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        return 0


def _key(metadata: Mapping[str, Any]) -> AttemptKey | None:
    labels, annotations = mapping(metadata, "labels"), mapping(metadata, "annotations")
    run_id, path, attempt = labels.get(LABEL_RUN), annotations.get(ANNOTATION_PATH), annotations.get(ANNOTATION_ATTEMPT)
    if not (isinstance(run_id, str) and isinstance(path, str) and isinstance(attempt, str)):
        return None
    # Python refuses to read a number of thousands of digits.
    if not attempt.isdecimal() or len(attempt) > _MAX_ATTEMPT_DIGITS:
        return None
    return AttemptKey(run_id, path, int(attempt))


def _container(status: Mapping[str, Any], *, initial: bool = False) -> ContainerView:
    state = mapping(status, "state")
    terminated = mapping(state, "terminated")
    waiting = mapping(state, "waiting")
    ended = None
    if terminated:
        ended = Terminated(
            exit_code=number(terminated, "exitCode"),
            signal=number(terminated, "signal"),
            reason=text(terminated, "reason"),
            message=text(terminated, "message"),
            started_at=millis(terminated.get("startedAt")),
            finished_at=millis(terminated.get("finishedAt")),
        )
    return ContainerView(
        name=text(status, "name"),
        running_since=millis(mapping(state, "running").get("startedAt")),
        terminated=ended,
        waiting_reason=text(waiting, "reason"),
        waiting_message=text(waiting, "message"),
        initial=initial,
        started=status.get("started") is True,
    )


def mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name; empty when there is none, or something else."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def entries(document: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    """The objects in a list; empty when there is no list, and without what else stands in it."""
    value = document.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(document: Mapping[str, Any], name: str) -> str:
    """Empty when there is none, or something else."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def number(document: Mapping[str, Any], name: str) -> int:
    """0 when there is none, or something else."""
    value = document.get(name)
    return value if isinstance(value, int) else 0
