"""What can happen to a run: the only inputs of the engine, and the lines of a run's event log.

Invariants: an event carries everything its decision needs (times included), so replaying a log decides the same. The
JSON form is stable: a field may be added with a default, never renamed. Times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from penstock_ir.model import JsonValue

from penstock_executor.artifact import Artifact
from penstock_executor.attempts import FailureKind


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a task produced: parameters by name, artifacts by port in order."""

    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "parameters": dict(self.parameters),
            "artifacts": {port: [one.to_json() for one in many] for port, many in self.artifacts.items()},
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Outputs:
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
        elif isinstance(value, FailureKind):
            value = value.value
        document[name] = value
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def decode(line: bytes) -> Event:
    """Inverse of `encode`. Raises ValueError for what is no event."""
    document: dict[str, Any] = json.loads(line)
    kind = document.pop("type", None)
    known = _TYPES.get(kind)
    if known is None:
        raise ValueError(f"unknown event type {kind!r}")
    for name, convert in _CONVERTERS.items():
        if name in document:
            document[name] = convert(document[name])
    return known(**document)


def _hit(document: Mapping[str, Any]) -> CachedResult:
    return CachedResult(
        outputs=Outputs.from_json(document["outputs"]),
        run_id=document.get("runId", ""),
        path=document.get("path", ""),
        execution_id=document.get("executionId", 0),
    )


_TYPES: Mapping[Any, Callable[..., Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        CacheAnswered,
        AttemptStarted,
        AttemptEnded,
        BackoffElapsed,
        TerminateRequested,
        DeadlineExceeded,
        RetryRequested,
    )
}
_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "outputs": Outputs.from_json,
    "hit": _hit,
    "failure": FailureKind,
}
