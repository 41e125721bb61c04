"""A run that is lost and taken again at once: what its new session records is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from penstock_executor.dispatch import lineage as lineage_module
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.dispatch.lineage import LineageQueue
from penstock_executor.lineage_records import ExecutionRecord, ExecutionState, ExecutionType, RunRecord
from penstock_executor.metadata.base import RecordedIds, RecorderUnavailableError
from penstock_executor.metadata.null import NullRecorder

from tests.support.fake_peers import Backend, Server


def record(name: str, state: ExecutionState = ExecutionState.RUNNING, run_id: str = "run-1") -> ExecutionRecord:
    run = RunRecord(run_id, "pipeline", "", "file:///root")
    return ExecutionRecord(run, name, ExecutionType.CONTAINER, state, "", name, name)


class Recorder(NullRecorder):
    """Keeps what it is given; each batch waits for its turn."""

    def __init__(self) -> None:
        self.batches: list[list[ExecutionRecord]] = []
        self.turns = asyncio.Semaphore(0)
        self.away = False
        self.asked = asyncio.Event()

    async def record(self, batch: Sequence[ExecutionRecord], left: Callable[[str], float]) -> RecordedIds:
        self.batches.append(list(batch))
        self.asked.set()
        await self.turns.acquire()
        if self.away:
            self.away = False
            raise RecorderUnavailableError("it is away")
        return RecordedIds()


async def test_what_is_put_after_a_run_was_forgotten_stays(tmp_path: Any) -> None:
    """As when an executor is given a run anew whose lease it let lapse."""

    settings = ExecutorSettings(default_root=f"file://{tmp_path}", workspace_path=f"{tmp_path}/{{run_id}}")
    server: Any = Server()
    executor = Executor(server, Backend(), NullRecorder(), settings)
    claimed = (await server.claim()).runs[0]
    executor._open(claimed, settings.default_root, 0.0)
    executor._open(claimed, settings.default_root, 0.0)
    executor._lineage.put([record("t0", run_id=claimed.run_id)])
    before = executor._lineage.waiting
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert executor._lineage.waiting == before == 1


async def test_a_batch_of_before_is_not_counted_for_the_run_taken_anew() -> None:
    recorder = Recorder()
    queue = LineageQueue(recorder, lambda *_: None, lambda _: 60.0)
    working = asyncio.create_task(queue.work())
    queue.put([record("t0"), record("t1")])
    await recorder.asked.wait()
    queue.forget("run-1")
    queue.put([record("t0"), record("t1", ExecutionState.COMPLETE)])
    drained = asyncio.create_task(queue.drained("run-1"))
    recorder.turns.release()
    while len(recorder.batches) < 2:
        await asyncio.sleep(0)
    assert not drained.done()
    recorder.turns.release()
    await asyncio.wait_for(drained, 10)
    assert queue.waiting == 0
    assert recorder.batches[1] == [record("t0"), record("t1", ExecutionState.COMPLETE)]
    working.cancel()


async def test_parents_stay_before_their_children_when_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is written first has no parent in the store, for ever."""
    monkeypatch.setattr(lineage_module, "_BATCH", 2)

    recorder = Recorder()
    recorder.away = True
    queue = LineageQueue(recorder, lambda *_: None, lambda _: 60.0)
    working = asyncio.create_task(queue.work())
    queue.put([record("root"), record("loop")])
    await recorder.asked.wait()
    queue.put([record("t0"), record("t1"), record("root", ExecutionState.COMPLETE)])
    drained = asyncio.create_task(queue.drained("run-1"))
    for _ in range(3):
        recorder.turns.release()
    await asyncio.wait_for(drained, 10)
    names = [[one.name for one in batch] for batch in recorder.batches]
    assert names == [["root", "loop"], ["root", "loop"], ["t0", "t1"]]
    assert recorder.batches[1][0].state is ExecutionState.COMPLETE
    working.cancel()
