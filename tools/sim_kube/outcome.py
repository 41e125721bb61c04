"""The outcome of a simulated Pod, and the status that shows it, as bytes.

The statuses are those a kubelet, the scheduler and the node controller of Kubernetes 1.34 write. Invariant: a status is
a function of the containers, the outcome and whole seconds, so Pods of one kind in one second share their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

ANNOTATION = "sim-kube/outcome"
KINDS = (
    "exit", "oom", "image-pull", "invalid-image", "config-error", "unschedulable", "evicted", "preempted", "taken-back",
    "node-lost", "deadline", "runs-forever",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """`kind` is one of KINDS. `exit_code` is that of the container `main`, or of the only one; the others end with 0.

    `messages` are termination messages by container. `seconds`, when given, is how long the containers run. `echo`:
    behind its log `main` writes what it was given, as a line of JSON (`expansion.Given.line`).
    """

    kind: str = "exit"
    exit_code: int = 0
    messages: Mapping[str, str] = field(default_factory=dict)
    log: str = ""
    seconds: float | None = None
    echo: bool = False

    @staticmethod
    def from_annotation(text: str) -> Outcome:
        """Raises ValueError or TypeError if the text is no outcome."""
        outcome = Outcome(**json.loads(text))
        if outcome.kind not in KINDS:
            raise ValueError(f"no such outcome: {outcome.kind}; known are {', '.join(KINDS)}")
        return outcome


class Containers(NamedTuple):
    """Names and images, in order."""

    main: tuple[tuple[str, str], ...]
    init: tuple[tuple[str, str], ...] = ()
    sidecars: frozenset[str] = frozenset()

    @staticmethod
    def of(spec: Mapping[str, Any]) -> Containers:
        init = spec.get("initContainers") or []
        return Containers(
            tuple((str(item.get("name")), str(item.get("image", ""))) for item in spec.get("containers") or []),
            tuple((str(item.get("name")), str(item.get("image", ""))) for item in init),
            frozenset(str(item.get("name")) for item in init if item.get("restartPolicy") == "Always"),
        )


class End(NamedTuple):
    """How the containers end: exit code, reason and message by container; the phase and its reason for the Pod."""

    codes: tuple[tuple[str, int, str, str], ...]
    phase: str
    reason: str = ""
    message: str = ""
    disruption: tuple[str, str] = ("", "")
    """Type and reason of the condition that tells of it."""


_NODE = '"hostIP":"10.0.0.1","hostIPs":[{"ip":"10.0.0.1"}],'
_IP = '"podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"}],'
CREATED = b'{"phase":"Pending","qosClass":"BestEffort"}'


@lru_cache(256)
def gated(at: str) -> bytes:
    why = "Scheduling is blocked due to non-empty scheduling gates"
    condition = _condition("PodScheduled", False, at, "SchedulingGated", why)
    return f'{{"phase":"Pending","conditions":[{condition}],"qosClass":"BestEffort"}}'.encode()


@lru_cache(256)
def scheduled(at: str) -> bytes:
    return (
        f'{{"phase":"Pending","conditions":[{_condition("PodScheduled", True, at)}],"qosClass":"BestEffort"}}'.encode()
    )


@lru_cache(256)
def unschedulable(at: str) -> bytes:
    why = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not helpful."
    condition = _condition("PodScheduled", False, at, "Unschedulable", why)
    return f'{{"phase":"Pending","conditions":[{condition}],"qosClass":"BestEffort"}}'.encode()


@lru_cache(1024)
def waiting(containers: Containers, at: str, reason: str = "ContainerCreating", message: str = "") -> bytes:
    state: dict[str, Any] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    statuses = [_container(name, image, state) for name, image in containers.main]
    conditions = _conditions(at, at, ready=False, reason="ContainersNotReady")
    return _status("Pending", conditions, at, statuses, _init(containers, at, at, done=True))


@lru_cache(1024)
def running(containers: Containers, at: str, *, ready: bool = True) -> bytes:
    state = {"running": {"startedAt": at}}
    statuses = [_container(name, image, state, ready=ready) for name, image in containers.main]
    conditions = _conditions(at, at, ready=ready, reason="" if ready else "NodeNotReady")
    return _status("Running", conditions, at, statuses, _init(containers, at, at, done=False), ip=True)


@lru_cache(1024)
def partly_ended(containers: Containers, started: str, at: str, codes: tuple[tuple[str, int, str, str], ...]) -> bytes:
    """Some containers have ended, the others run."""
    results = {name: (code, reason, message) for name, code, reason, message in codes}
    statuses = []
    for name, image in containers.main:
        if name in results:
            statuses.append(_container(name, image, _terminated(name, started, at, *results[name])))
        else:
            statuses.append(_container(name, image, {"running": {"startedAt": started}}, ready=True))
    conditions = _conditions(started, at, ready=False, reason="ContainersNotReady")
    return _status("Running", conditions, started, statuses, _init(containers, started, at, done=False), ip=True)


@lru_cache(1024)
def ended(containers: Containers, started: str, at: str, end: End) -> bytes:
    statuses = []
    results = {name: (code, reason, message) for name, code, reason, message in end.codes}
    for name, image in containers.main:
        statuses.append(_container(name, image, _terminated(name, started, at, *results[name])))
    why = "PodCompleted" if end.phase == "Succeeded" else "PodFailed"
    conditions = _conditions(started, at, ready=False, reason=why)
    kind, reason = end.disruption
    if kind:
        conditions += "," + _condition(kind, True, at, reason)
    extra = {key: value for key, value in (("reason", end.reason), ("message", end.message)) if value}
    return _status(
        end.phase, conditions, started, statuses, _init(containers, started, at, done=True), ip=True, extra=extra
    )


def _terminated(name: str, started: str, at: str, code: int, reason: str, message: str) -> dict[str, Any]:
    terminated = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": at}
    if message:
        terminated["message"] = message
    return {"terminated": {**terminated, "containerID": _container_id(name)}}


def _status(
    phase: str,
    conditions: str,
    started: str,
    statuses: list[str],
    init: str,
    *,
    ip: bool = False,
    extra: Mapping[str, str] | None = None,
) -> bytes:
    said = "".join(f'"{key}":{json.dumps(value)},' for key, value in (extra or {}).items())
    return (
        f'{{"observedGeneration":1,"phase":"{phase}","conditions":[{conditions}],{said}{_NODE}{_IP if ip else ""}'
        f'"startTime":"{started}",{init}"containerStatuses":[{",".join(statuses)}],"qosClass":"BestEffort"}}'
    ).encode()


def _conditions(started: str, at: str, *, ready: bool, reason: str) -> str:
    return ",".join(
        (
            _condition("PodReadyToStartContainers", ready, at),
            _condition("Initialized", True, started),
            _condition("Ready", ready, at, reason),
            _condition("ContainersReady", ready, at, reason),
            _condition("PodScheduled", True, started),
        )
    )


def _condition(kind: str, holds: bool, at: str, reason: str = "", message: str = "") -> str:
    document = {"type": kind, "observedGeneration": 1, "status": str(holds), "lastProbeTime": None}
    document["lastTransitionTime"] = at
    if reason:
        document["reason"] = reason
    if message:
        document["message"] = message
    return json.dumps(document, separators=(",", ":"))


def _container(name: str, image: str, state: Mapping[str, Any], *, ready: bool = False) -> str:
    is_up = "running" in state
    document = {"name": name, "state": state, "lastState": {}, "ready": ready, "restartCount": 0, "image": image}
    document["imageID"] = "" if "waiting" in state else "sha256:" + "0" * 64
    if "waiting" not in state:
        document["containerID"] = _container_id(name)
    document["started"] = is_up
    document["resources"] = {}
    return json.dumps(document, separators=(",", ":"))


def _container_id(name: str) -> str:
    return "containerd://" + name.encode().hex().rjust(64, "0")[:64]


def _init(containers: Containers, started: str, at: str, *, done: bool) -> str:
    if not containers.init:
        return ""
    over, beside = (
        {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": finished}}
        for finished in (started, at)
    )
    up = beside if done else {"running": {"startedAt": started}}
    states = [(name, image, up if name in containers.sidecars else over) for name, image in containers.init]
    return f'"initContainerStatuses":[{",".join(_container(*item) for item in states)}],'
