"""A run that triggers a defect of the executor fails with a message and does not affect other runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.dispatch import rows
from penstock_executor.dispatch import session as session_module
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.engine.machine import apply
from penstock_executor.lineage_records import ExecutionRecord
from penstock_executor.metadata.base import RecordedIds
from penstock_executor.metadata.null import NullRecorder

from tests.support.fake_peers import Backend, Server


async def outcome(server: Server, root: Any, recorder: Any = None) -> dict[str, pb.RunUpdate]:
    """The last reports of both runs."""
    settings = ExecutorSettings(default_root=f"file://{root}", workspace_path=f"{root}/{{run_id}}")
    executor = Executor(server, Backend(), recorder or NullRecorder(), settings)  # type: ignore[arg-type]
    stop = asyncio.Event()
    running = asyncio.create_task(executor.run(stop))
    while len(server.final) < 2:
        assert not running.done(), "the executor ended because of one run"
        await asyncio.sleep(0.01)
    stop.set()
    await running
    return server.final


def check(final: dict[str, pb.RunUpdate], reason: str) -> None:
    assert final["healthy"].state == "SUCCEEDED"
    assert final["poison"].state == "FAILED"
    assert final["poison"].error.startswith("an internal error of Penstock ended the run")
    assert reason in final["poison"].error


@pytest.mark.parametrize("event", ["RunStarted", "AttemptEnded"])
async def test_an_event_that_cannot_be_decided(event: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def broken(state: Any, given: Any) -> Any:
        if state.context.run_id == "poison" and type(given).__name__ == event:
            raise KeyError("a defect")
        return apply(state, given)

    monkeypatch.setattr(session_module, "apply", broken)
    check(await outcome(Server(), tmp_path), "a defect")


async def test_a_report_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def broken(message: Any, node: Any, context: Any) -> None:
        if node.task is not None and node.task.name == "b" and chosen:
            raise ValueError("no such row")
        fill_task_row(message, node, context)

    chosen: list[bool] = []
    fill_task_row = rows.fill_task_row
    take = session_module.RunSession.take

    def taking(self: Any) -> Any:
        chosen[:] = [True] if self.run_id == "poison" else []
        return take(self)

    monkeypatch.setattr(rows, "fill_task_row", broken)
    monkeypatch.setattr(session_module.RunSession, "take", taking)
    check(await outcome(Server(), tmp_path), "no such row")


async def test_a_report_that_the_server_never_takes(tmp_path: Any) -> None:
    check(await outcome(Server(refuses="poison"), tmp_path), "the server does not take its report")


async def test_a_record_that_the_metadata_store_refuses_is_the_only_one_lost(tmp_path: Any) -> None:
    class Recorder(NullRecorder):
        def __init__(self) -> None:
            self.kept: set[str] = set()

        async def record(self, batch: Sequence[ExecutionRecord], left: Any) -> RecordedIds:
            if any(one.name == "run/poison/a" for one in batch):
                raise ValueError("it does not like that one")
            self.kept.update(one.name for one in batch)
            return RecordedIds()

    recorder = Recorder()
    final = await outcome(Server(), tmp_path, recorder)
    assert {update.state for update in final.values()} == {"SUCCEEDED"}
    assert recorder.kept >= {"run/poison", "run/poison/b", "run/healthy", "run/healthy/a", "run/healthy/b"}
