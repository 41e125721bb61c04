"""What a namespace decides about warm workers, in its ConfigMap `penstock` (docs/workers.md).

    workers: off | run | namespace, the most that tasks may ask for; off without it
    workersDefault: off | run | namespace, for tasks that ask for nothing; off without it
    workersMax, workersMin, workersIdleSeconds: whole numbers (see `WorkerPolicy`)

Invariants: pure. A wrong value is an error that names its key, so that a typing mistake cannot widen what is shared.
Nobody shares more than the namespace allows, whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_ir.worker_sharing import SHARING, SHARING_WORDS, AskedSharing, Sharing, at_most, parse_sharing

from penstock_executor.backends.kubernetes.errors import PodSpecError

MOST_WORKERS = 1000
MOST_IDLE_SECONDS = 86_400
WORKER_KEYS = ("workers", "workersDefault", "workersMax", "workersMin", "workersIdleSeconds")


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """The defaults are those of a namespace that says nothing."""

    allowed: Sharing = "off"
    """The most that tasks may ask for."""
    default: Sharing = "off"
    """For tasks that ask for nothing; no more than `allowed`."""
    most: int = 10
    """Worker Pods of the namespace at a time, 1 to 1000."""
    least: int = 0
    """Workers that are kept ready for each shape that was used lately, 0 to `most`."""
    idle_seconds: int = 60
    """After so long without a task a worker ends, 1 to 86400."""


NO_WORKERS = WorkerPolicy()


def parse_worker_policy(data: Mapping[str, str]) -> WorkerPolicy:
    """Of the `data` of the ConfigMap; other keys are others' business. Raises PodSpecError."""
    allowed = _sharing(data, "workers", NO_WORKERS.allowed)
    default = _sharing(data, "workersDefault", NO_WORKERS.default)
    if SHARING.index(default) > SHARING.index(allowed):
        raise _error(f"workersDefault is {default!r}, which is more than {allowed!r}, what 'workers' allows")
    most = _number(data, "workersMax", NO_WORKERS.most, 1, MOST_WORKERS)
    return WorkerPolicy(
        allowed=allowed,
        default=default,
        most=most,
        least=_number(data, "workersMin", NO_WORKERS.least, 0, most),
        idle_seconds=_number(data, "workersIdleSeconds", NO_WORKERS.idle_seconds, 1, MOST_IDLE_SECONDS),
    )


def isolation(asked: AskedSharing, policy: WorkerPolicy) -> Sharing:
    """How far a task shares workers that asks for this; empty when it asks for nothing."""
    return at_most(asked or policy.default, policy.allowed)


def _sharing(data: Mapping[str, str], key: str, default: Sharing) -> Sharing:
    if key not in data:
        return default
    found = parse_sharing(data[key].strip())
    if found is None:
        raise _error(f"{key} is {data[key][:40]!r}, but has to be {SHARING_WORDS}")
    return found


def _number(data: Mapping[str, str], key: str, default: int, least: int, most: int) -> int:
    if key not in data:
        return default
    text = data[key].strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and least <= int(text) <= most):
        raise _error(f"{key} is {data[key][:40]!r}, but has to be a whole number from {least} to {most}")
    return int(text)


def _error(text: str) -> PodSpecError:
    return PodSpecError(f"ConfigMap 'penstock' of the namespace: {text}")
