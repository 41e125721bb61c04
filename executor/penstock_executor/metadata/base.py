"""The port through which lineage is recorded (executor.md §2.9).

Invariants: recording twice changes nothing; a parent is recorded before, or in the same batch as, its children. The
engine's shell finishes a run only when its last record is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from penstock_executor.lineage_records import ExecutionRecord


@dataclass(frozen=True, slots=True)
class RecordedIds:
    """Ids given by ML Metadata: executions and artifacts by name; contexts by run id as (pipeline, run)."""

    executions: Mapping[str, int] = field(default_factory=dict)
    artifacts: Mapping[str, int] = field(default_factory=dict)
    contexts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class RecorderUnavailableError(Exception):
    """The metadata store did not answer; the same batch may be tried again."""

    transient = True


class RecordRejectedError(Exception):
    """The metadata store refused a record for good; `name` is the execution's. The run must not hang on it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Recorder(Protocol):
    async def record(self, batch: Sequence[ExecutionRecord], left: Callable[[str], float]) -> RecordedIds:
        """Writes a batch in few calls. `left` gives the seconds for which a run is certainly ours: no write of it is
        sent later, none may take longer. Raises RecorderUnavailableError, also when they are over, RecordRejectedError.
        """
        ...

    def forget(self, run_id: str) -> None:
        """Drops what is remembered of a run that is finished or was lost."""
        ...

    async def close(self) -> None: ...
