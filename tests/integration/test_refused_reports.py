"""An executor that works, one of whose runs comes to a report that the server refuses: it ends that run and goes on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_executor.attempts import TaskLaunch, TaskOutcome
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.metadata.null import NullRecorder

from tests.support.fake_peers import Backend
from tests.support.replicas import Replicas
from tools.testing import runs, specs

LATE = time.time_ns() // 1_000_000 + 10 * 24 * 60 * 60 * 1000


class WrongClock(Backend):
    """Attempts of the runs in `poison` end in ten days."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: set[str] = set()

    async def launch(self, task: TaskLaunch) -> None:
        end = LATE if task.key.run_id in self.poison else 2
        self._deliver(TaskOutcome(task.key, 1, end, exit_code=0))


async def test_one_run_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    spec = specs.chain({"a": ["true"], "b": ["true"]})
    replicas = Replicas(tmp_path, f"sqlite:///{tmp_path}/test.db", servers=1, executors=0)
    with replicas, Client(replicas.addresses[0]) as client:
        poison, healthy = (runs.start(client, spec) for _ in range(2))
        backend = WrongClock()
        backend.poison.add(poison)
        settings = ExecutorSettings(default_root=f"file://{tmp_path}", workspace_path=f"{tmp_path}/{{run_id}}")
        executor = Executor(
            DispatchClient(replicas.dispatch[0], "one/1"),
            backend,
            NullRecorder(),
            settings,
        )
        stop = asyncio.Event()
        working = asyncio.create_task(executor.run(stop))
        ended = await asyncio.to_thread(lambda: [runs.finished(client, run) for run in (poison, healthy)])
        later = await asyncio.to_thread(lambda: runs.finished(client, runs.start(client, spec)))
        stop.set()
        await working
    assert [run.state for run in (*ended, later)] == [run_pb2.FAILED, run_pb2.SUCCEEDED, run_pb2.SUCCEEDED]
    assert "the server does not take its report" in ended[0].error.message
