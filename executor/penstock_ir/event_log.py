"""The event log of a run: what can happen to a run, as values and as lines.

Why it is here: events are the only inputs of the engine, and the server explains runs by the same log.

Invariants: an event carries everything its decision needs (times included), so replaying a log decides the same. The
JSON form is stable: a field may be added with a default, never renamed. The engine refuses what it does not know
(`decode`), readers pass over it (`decode_known`), so that the log of a newer executor can be read. Times are
milliseconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Union, get_args

from penstock_ir.artifact import Artifact
from penstock_ir.model import JsonValue


class FailureKind(str, Enum):
    """USER: the command failed. INFRASTRUCTURE: it never ran, or its host was lost. CANCELED: the executor stopped it.
    CONFIGURATION: it cannot run (no such command, bad image, unwritable store), and a retry does not help.

    A release reads a new kind before any release writes it.
    """

    USER = "user"
    INFRASTRUCTURE = "infrastructure"
    CANCELED = "canceled"
    CONFIGURATION = "configuration"


class FailureCause(str, Enum):
    """More of a failure, where something depends on it: PREEMPTED, the platform gave its place to others;
    OUT_OF_MEMORY, it used more than its limit.

    An executor writes PREEMPTED when it is set to, OUT_OF_MEMORY for tasks whose memory grows: the release before
    reads neither.
    """

    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a task produced: parameters by name, artifacts by port in order."""

    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form in event logs and cache entries; `from_json` is its inverse."""
        return {
            "parameters": dict(self.parameters),
            "artifacts": {port: [one.to_json() for one in many] for port, many in self.artifacts.items()},
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Outputs:
        """Raises KeyError for an artifact without name, type or URI."""
        return Outputs(
            parameters=document.get("parameters") or {},
            artifacts={
                port: tuple(Artifact.from_json(one) for one in many)
                for port, many in (document.get("artifacts") or {}).items()
            },
        )


@dataclass(frozen=True, slots=True)
class CachedResult:
    """A cache entry. `execution_id` is the id in ML Metadata of the execution that made it, 0 when unknown."""

    outputs: Outputs
    run_id: str = ""
    path: str = ""
    execution_id: int = 0


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`root` is the pipeline root the run got, empty in logs of before it was kept."""

    at: int
    root: str = ""


@dataclass(frozen=True, slots=True)
class CacheAnswered:
    """Of `LookUpCache`; without a hit the task is launched."""

    path: str
    fingerprint: str
    at: int
    hit: CachedResult | None = None
    reason: str = ""
    """Why there is no hit although there is an entry."""


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The program of the attempt runs; `at` is the time of its start."""

    path: str
    attempt: int
    at: int
    log_uri: str = ""
    pod_name: str = ""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """`failure` None means success."""

    path: str
    attempt: int
    at: int
    started_at: int = 0
    failure: FailureKind | None = None
    exit_code: int | None = None
    error: str = ""
    outputs: Outputs = Outputs()
    log_uri: str = ""
    pod_name: str = ""
    cause: FailureCause | None = None


@dataclass(frozen=True, slots=True)
class BackoffElapsed:
    """The delay before this attempt is over."""

    path: str
    attempt: int
    at: int


@dataclass(frozen=True, slots=True)
class TerminateRequested:
    """A user wishes that the run ends."""

    at: int


@dataclass(frozen=True, slots=True)
class DeadlineExceeded:
    """The run's own deadline has passed."""

    at: int


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """A user wishes that the ended run goes on with what failed."""

    at: int


Event = Union[
    RunStarted,
    CacheAnswered,
    AttemptStarted,
    AttemptEnded,
    BackoffElapsed,
    TerminateRequested,
    DeadlineExceeded,
    RetryRequested,
]


_ALWAYS = frozenset({"at", "path", "attempt", "exit_code"})


def encode(event: Event) -> bytes:
    """One line of the event log: compact JSON without fields that have their default."""
    document: dict[str, Any] = {"type": type(event).__name__}
    for name in event.__slots__:
        value = getattr(event, name)
        if value in (None, "", 0) and name not in _ALWAYS:
            continue
        if value is None:
            continue
        if isinstance(value, Outputs):
            value = value.to_json()
            if not value["parameters"] and not value["artifacts"]:
                continue
        elif isinstance(value, CachedResult):
            value = {
                "outputs": value.outputs.to_json(),
                "runId": value.run_id,
                "path": value.path,
                "executionId": value.execution_id,
            }
        elif isinstance(value, Enum):
            value = value.value
        document[name] = value
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def decode(line: bytes) -> Event:
    """Inverse of `encode`, for whoever decides by the event.

    Raises ValueError for an event, a field or a value that this release does not know.
    """
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("an event is a JSON object")
    name = document.pop("type", None)
    event_type = _TYPES.get(str(name))
    if event_type is None:
        raise ValueError(f"unknown event type {name!r}")
    try:
        return _made(event_type, document)
    except (LookupError, TypeError) as error:
        raise ValueError(f"event {name}: {error}") from error


def decode_known(line: bytes) -> Event | None:
    """The event as far as this release knows it, for whoever explains what happened.

    Fields of a newer release are left out; None for an event, or a value in it, that is not known. Raises ValueError
    for what is no JSON.
    """
    document = json.loads(line)
    if not isinstance(document, dict):
        return None
    event_type = _TYPES.get(str(document.get("type")))
    if event_type is None:
        return None
    try:
        return _made(event_type, {name: document[name] for name in event_type.__slots__ if name in document})
    except (LookupError, TypeError, ValueError):
        return None


def _made(event_type: type[Event], fields: dict[str, Any]) -> Event:
    for name, convert in _CONVERTERS.items():
        if name in fields:
            fields[name] = convert(fields[name])
    return event_type(**fields)


def _hit(document: Mapping[str, Any]) -> CachedResult:
    return CachedResult(
        outputs=Outputs.from_json(document["outputs"]),
        run_id=document.get("runId", ""),
        path=document.get("path", ""),
        execution_id=document.get("executionId", 0),
    )


_TYPES: Mapping[str, type[Event]] = {event_type.__name__: event_type for event_type in get_args(Event)}
_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "outputs": Outputs.from_json,
    "hit": _hit,
    "failure": FailureKind,
    "cause": FailureCause,
}
