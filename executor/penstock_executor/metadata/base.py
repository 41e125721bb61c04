"""The port through which lineage is recorded (executor.md §2.9).

Invariants: recording twice changes nothing; a parent is recorded before, or in the same batch as, its children. A
run is finished only when its last record is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from penstock_executor.lineage_records import ExecutionRecord


class ContextIds(NamedTuple):
    """Ids in ML Metadata of a run's two contexts; 0 when they are not recorded."""

    pipeline: int = 0
    run: int = 0


@dataclass(frozen=True, slots=True)
class RecordedIds:
    """Ids given by ML Metadata: executions and artifacts by name, contexts by run id."""

    executions: Mapping[str, int] = field(default_factory=dict)
    artifacts: Mapping[str, int] = field(default_factory=dict)
    contexts: Mapping[str, ContextIds] = field(default_factory=dict)


class RecorderUnavailableError(Exception):
    """The metadata store did not answer; the same batch may be sent again."""

    transient = True


class RecordRejectedError(Exception):
    """The metadata store refused a record for good; `name` is the execution's. The run goes on without it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Recorder(Protocol):
    async def record(self, batch: Sequence[ExecutionRecord], lease_seconds: Callable[[str], float]) -> RecordedIds:
        """Writes a batch in few calls. `lease_seconds(run_id)` is how long the lease of a run is certain: no write of
        the run is sent later or may take longer. Raises RecorderUnavailableError, also when it is over,
        RecordRejectedError.
        """
        ...

    def forget(self, run_id: str) -> None:
        """Drops the cached ids of a run that is finished or was lost to another executor."""
        ...

    async def close(self) -> None: ...
