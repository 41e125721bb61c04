"""What a request asks of workers reaches the launch of every task: through the server's rows to an executor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_executor.attempts import TaskLaunch
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.metadata.null import NullRecorder
from penstock_server.domain.dispatch import ClaimedRun
from penstock_server.domain.options import NO_SETTINGS, resolve_options
from penstock_server.rpc.convert.dispatch import claimed_to_proto
from penstock_server.rpc.convert.runs import new_run, to_proto
from penstock_server.storage.database import Database

from tests.support import rows
from tests.support.fake_peers import Backend, Server
from tools.testing import specs


class Launches(Backend):
    """Keeps what it is given; every attempt succeeds at once."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, TaskLaunch] = {}

    async def launch(self, task: TaskLaunch) -> None:
        self.found[task.key.path] = task
        await super().launch(task)


class OneRun(Server):
    """Gives this run once."""

    def __init__(self, run: dispatch_pb2.ClaimedRun) -> None:
        super().__init__()
        self._run = run
        self.ended = asyncio.Event()

    async def claim(self, *_: Any) -> dispatch_pb2.ClaimRunsResponse:
        if self._given:
            await asyncio.sleep(3600)
        self._given = True
        return dispatch_pb2.ClaimRunsResponse(runs=[self._run])

    async def report(self, runs: Sequence[dispatch_pb2.RunTransitions]) -> Sequence[dispatch_pb2.RunReport]:
        reports = await super().report(runs)
        if self.final:
            self.ended.set()
        return reports


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    rows.prepared(made)
    yield made
    made.dispose()


@pytest.mark.parametrize("asked", ["", "off", "run", "namespace"])
async def test_of_a_run(asked: str, database: Database, tmp_path: Path) -> None:
    request = new_run(run_pb2.Run(options=run_pb2.RunOptions(workers=asked)))
    options = resolve_options(request.options, NO_SETTINGS)
    with database.writing() as uow:
        uow.runs.add(replace(rows.run("run"), options=options))
    with database.reading() as uow:
        stored = uow.runs.get("run")
    assert stored is not None
    assert to_proto(stored).options.workers == asked, "it is shown, so that the run can be run again alike"
    document = json.dumps(specs.chain({"a": ["true"], "b": ["true"]}))
    server = OneRun(claimed_to_proto(ClaimedRun(stored, 1, document, "", ())))
    backend, stop = Launches(), asyncio.Event()
    settings = ExecutorSettings(f"file://{tmp_path}", f"{tmp_path}/{{run_id}}", heartbeat=0.01)
    running = asyncio.create_task(Executor(server, backend, NullRecorder(), settings).run(stop))  # type: ignore[arg-type]
    await asyncio.wait_for(server.ended.wait(), 30)
    stop.set()
    await running
    assert {path: task.workers for path, task in backend.found.items()} == {"a": asked, "b": asked}
