"""Records lineage off the critical path, in batches, losing nothing.

Invariants: records wait here by name, the newest wins, so a task that started and ended within one interval is written
once. Only committed states come here. A batch that could not be written stays; a record the store refuses for good is
dropped with a loud log line, because a run must not hang on it. Nothing is written of a run whose lease has lapsed:
whoever holds it now has written newer states. `drained` tells when a run has nothing waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from penstock_executor.backoff import delays
from penstock_executor.lineage_records import ExecutionRecord
from penstock_executor.metadata.base import ContextIds, RecordedIds, Recorder, RecorderUnavailableError

log = logging.getLogger(__name__)

_BATCH = 200
_INTERVAL_SECONDS = 0.1


class LineageQueue:
    """One for all runs. `recorded` is called with the ids of each batch that is in; `left` as in Recorder.record."""

    def __init__(
        self,
        recorder: Recorder,
        recorded: Callable[[str, RecordedIds], None],
        left: Callable[[str], float],
    ) -> None:
        self._recorder = recorder
        self._recorded = recorded
        self._left = left
        self._waiting: dict[str, ExecutionRecord] = {}
        self._runs: dict[str, int] = {}
        self._drained: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._contexts: dict[str, ContextIds] = {}
        # The batch that is being written, but for records of runs that were forgotten meanwhile.
        self._under_way: dict[str, str] = {}
        self._writing = asyncio.Lock()
        self._stopped = False

    def put(self, records: Iterable[ExecutionRecord]) -> None:
        """Queues records of committed states; parents come before their children."""
        for record in records:
            if record.name not in self._waiting:
                run_id = record.run.run_id
                self._runs[run_id] = self._runs.get(run_id, 0) + 1
            self._waiting[record.name] = record
        if self._waiting:
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return len(self._waiting)

    async def drained(self, run_id: str) -> ContextIds:
        """Waits until everything of a run is recorded; gives the ids of its contexts."""
        if self._runs.get(run_id):
            event = self._drained.setdefault(run_id, asyncio.Event())
            self._urgent.set()
            await event.wait()
        return self._contexts.get(run_id, ContextIds())

    async def stop(self) -> None:
        """Begins no batch any more and waits for the one under way: what others write from now on stays."""
        self._stopped = True
        async with self._writing:
            pass

    def forget(self, run_id: str) -> None:
        """Drops what waits of a run that is over, was lost or was deleted.

        At once: the run may be taken anew the next moment, and what is put then belongs to its new session.
        """
        # Of most runs nothing waits when they are over, and there may be thousands of records of others.
        if run_id in self._runs:
            for name in [name for name, record in self._waiting.items() if record.run.run_id == run_id]:
                del self._waiting[name]
        self._under_way = {name: run for name, run in self._under_way.items() if run != run_id}
        self._runs.pop(run_id, None)
        self._contexts.pop(run_id, None)
        event = self._drained.pop(run_id, None)
        if event:
            event.set()
        self._recorder.forget(run_id)

    async def work(self) -> None:
        """Writes batches until cancelled."""
        retry = delays()
        # No retry of one call: a batch that fails is put back, and the next try takes the records that wait by then.
        while True:
            await self._wake.wait()
            await self._gather()
            batch = [] if self._stopped else self._next_batch()
            if not batch:
                if self._waiting:
                    # All of it belongs to runs whose lease has lapsed, or it is others' to write.
                    await asyncio.sleep(_INTERVAL_SECONDS)
                else:
                    self._wake.clear()
                continue
            try:
                async with self._writing:
                    ids = await self._record(batch)
            except RecorderUnavailableError as error:
                log.warning("lineage waits for the metadata store: %s", error)
                self._put_back(batch)
                await asyncio.sleep(next(retry))
                continue
            retry = delays()
            self._settle(batch, ids)

    async def _record(self, batch: Sequence[ExecutionRecord]) -> RecordedIds:
        """Records what can be recorded: of a batch that is refused the culprits are found by halving it."""
        try:
            return await self._recorder.record(batch, self._left)
        except RecorderUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - RecordRejectedError, or a defect of ours: no run may hang on it
            if len(batch) == 1:
                log.error("lineage of %s refused for good, dropped: %s", batch[0].name, error)
                return RecordedIds()
            middle = len(batch) // 2
            first, second = await self._record(batch[:middle]), await self._record(batch[middle:])
            return RecordedIds(
                executions={**first.executions, **second.executions},
                artifacts={**first.artifacts, **second.artifacts},
                contexts={**first.contexts, **second.contexts},
            )

    async def _gather(self) -> None:
        """Lets a batch grow, unless a run waits for its last record or there is enough already."""
        if len(self._waiting) >= _BATCH or self._drained:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._urgent.wait(), _INTERVAL_SECONDS)
        self._urgent.clear()

    def _next_batch(self) -> list[ExecutionRecord]:
        certain = (name for name, record in self._waiting.items() if self._left(record.run.run_id) > 0)
        names = list(islice(certain, _BATCH))
        batch = [self._waiting.pop(name) for name in names]
        self._under_way = {record.name: record.run.run_id for record in batch}
        return batch

    def _put_back(self, batch: Sequence[ExecutionRecord]) -> None:
        """In front, because parents come before their children; a newer state that has come meanwhile wins."""
        front: dict[str, ExecutionRecord] = {}
        for record in batch:
            if self._under_way.pop(record.name, None) is None:
                continue
            newer = self._waiting.pop(record.name, None)
            front[record.name] = newer or record
            if newer:
                # One record less to wait for.
                self._count_down(record.run.run_id)
        self._waiting = {**front, **self._waiting}

    def _settle(self, batch: list[ExecutionRecord], ids: RecordedIds) -> None:
        self._contexts.update({run: pair for run, pair in ids.contexts.items() if run in self._runs})
        for run_id in {record.run.run_id for record in batch}:
            self._recorded(run_id, ids)
        for record in batch:
            if self._under_way.pop(record.name, None) is not None:
                self._count_down(record.run.run_id)

    def _count_down(self, run_id: str) -> None:
        left = self._runs.get(run_id, 0) - 1
        if left > 0:
            self._runs[run_id] = left
            return
        self._runs.pop(run_id, None)
        event = self._drained.pop(run_id, None)
        if event:
            event.set()
