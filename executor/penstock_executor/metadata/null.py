"""Records nothing: for executors that run without lineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock_executor.lineage_records import ExecutionRecord
from penstock_executor.metadata.base import RecordedIds


class NullRecorder:
    async def record(self, batch: Sequence[ExecutionRecord], lease_seconds: Callable[[str], float]) -> RecordedIds:
        return RecordedIds()

    def forget(self, run_id: str) -> None:
        return None

    async def close(self) -> None:
        return None
