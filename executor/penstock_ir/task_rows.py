"""Words in which a task's row says what it is and how it stands: the executor writes them, the server reads them.

Invariant: the values are in databases and in messages between releases, so one is never changed; a new one is read by a
release before any release writes it.
"""

from __future__ import annotations

from enum import Enum


class TaskState(str, Enum):
    """How a task stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CACHED = "CACHED"
    SKIPPED = "SKIPPED"
    """Its condition was false."""
    OMITTED = "OMITTED"
    """A task it depends on did not succeed."""
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def terminal(self) -> bool:
        """Whether it is left only by a retry of the run."""
        return self not in (TaskState.PENDING, TaskState.RUNNING)

    @property
    def succeeded(self) -> bool:
        """Answered from the cache included."""
        return self in (TaskState.SUCCEEDED, TaskState.CACHED)

    @property
    def failed(self) -> bool:
        """Canceled included."""
        return self in (TaskState.FAILED, TaskState.CANCELED)


class TaskKind(str, Enum):
    """What a task is. The root of a run is a DAG."""

    CONTAINER = "container"
    IMPORTER = "importer"
    DAG = "dag"
    LOOP = "loop"
    ITERATION = "iteration"
    """One round of a loop."""


class TaskPhase(str, Enum):
    """Where a container task stands between its trigger and its end."""

    CACHE_LOOKUP = "cache lookup"
    GANG = "gang"
    """It waits for the others of its gang. Of the engine alone so far: rows say `cache lookup`, since the release
    before reads no other word."""
    LAUNCHED = "launched"
    BACKOFF = "backoff"
    CANCELING = "canceling"
    ENDED = "ended"


def in_a_line(error: str) -> str:
    """Of an error with the end of a log the first line says how, the last one why."""
    lines = error.strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
