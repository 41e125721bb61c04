"""What the engine asks its shell to do. Every effect is idempotent by its fields, so doing it again is harmless.

Invariant: apart from `LookUpCache`, which only reads, an effect is carried out only after the event that caused it is
committed. A look-up comes after the commit of every `StoreResult` of its fingerprint before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from penstock_ir.gangs import GangShare


@dataclass(frozen=True, slots=True)
class LookUpCache:
    """Ask for a kept result with this fingerprint; `CacheAnswered` is the answer."""

    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start, or adopt, this attempt. What to start: `engine.launch.task_launch`.

    Of a `gang` there are as many launches as it has members, in one decision: all of them are begun, or none yet."""

    path: str
    attempt: int
    gang: GangShare | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """End this attempt, whatever it does; its end comes as `AttemptEnded`."""

    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Release:
    """The end of this attempt is committed: what the backend kept of it, such as its Pod, may go."""

    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Deliver `BackoffElapsed` at this time (milliseconds)."""

    path: str
    attempt: int
    at: int


@dataclass(frozen=True, slots=True)
class WakeRun:
    """Deliver `DeadlineExceeded` at this time (milliseconds)."""

    at: int


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Keep the outputs of this task for later runs, in the same transaction as its end."""

    path: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class FinishRun:
    """Nothing is left to do; the run ends when its lineage is recorded."""


Effect = Union[LookUpCache, Launch, Cancel, Release, Wake, WakeRun, StoreResult, FinishRun]
