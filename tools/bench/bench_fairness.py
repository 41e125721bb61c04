"""One namespace floods a pool with tasks, another asks for a slot now and then: how long the other waits.

The server's dispatch service on SQLite, over gRPC, and a real executor; tasks are timers, so what is measured is the
order in which slots are given and what it costs to give them. In the comparison both are one namespace, so that there
is no share, only the order in which they came.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any, cast

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome
from penstock_executor.backends.base import Backend, HeldRuns
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.metadata.null import NullRecorder
from penstock_server.domain.experiment import Experiment
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.pools import Pool, PoolKey
from penstock_server.domain.run import Run, RunState, StateChange
from penstock_server.rpc.dispatch_server import build_dispatch_server
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry

from tools.bench.result import Row, at_most
from tools.testing import specs

SIZES = (1_000, 10_000)
SLOTS = 16
TASK_SECONDS = 0.1
ASKS = 100
EVERY_SECONDS = 0.1
P99_SECONDS = 2.0
FLOOD, OTHER = "flood", "other"
_TASKS_OF_A_RUN = 100
_SPECS = {"one": specs.pooled("shared"), "many": specs.pooled("shared", of=specs.loop(_TASKS_OF_A_RUN))}


def measure() -> list[Row]:
    rows = []
    for size in (0, *SIZES):
        waits = _waits(size, OTHER)
        after = f"beside a flood of {size:,} tasks" if size else "alone"
        rows += [
            Row(f"fairness, {after}: median wait of the other namespace", quantiles(waits, n=2)[0] * 1000, "ms"),
            at_most(f"fairness, {after}: p99 wait of the other namespace", _p99(waits), "s", P99_SECONDS),
        ]
    together = _p99(_waits(SIZES[0], FLOOD))
    rows.append(Row(f"fairness, beside {SIZES[0]:,} tasks of the same namespace: p99 wait", together, "s"))
    return rows


def _p99(waits: list[float]) -> float:
    return quantiles(waits, n=100)[98]


def _waits(size: int, namespace: str) -> list[float]:
    """Seconds from when each run of one task is stored until its task begins."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        return asyncio.run(_measured(Path(directory), size, namespace))


async def _measured(directory: Path, size: int, namespace: str) -> list[float]:
    queue = _Queue(directory)
    backend = _Timers()
    client = DispatchClient(queue.address, "bench/1")
    settings = ExecutorSettings(f"file://{directory}", f"{directory}/{{run_id}}")
    executor = Executor(client, cast(Backend, backend), NullRecorder(), settings)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.callback(queue.close)
        running = asyncio.create_task(executor.run(stop))
        for number in range(size // _TASKS_OF_A_RUN):
            await asyncio.to_thread(queue.add, f"flood-{number}", FLOOD, "many")
        if size:
            await backend.begun(2 * SLOTS)
        stored: dict[str, float] = {}
        for number in range(ASKS):
            run_id = f"ask-{number}"
            stored[run_id] = time.monotonic()
            await asyncio.to_thread(queue.add, run_id, namespace, "one")
            await asyncio.sleep(EVERY_SECONDS)
        for run_id in stored:
            await backend.has_begun(run_id)
        stop.set()
        await running
    return [backend.began[run_id] - at for run_id, at in stored.items()]


class _Queue:
    """The server's part, with a pool."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(f"sqlite:///{directory}/penstock.db")
        self._database.migrate()
        self._signal = ConditionSignal()
        service = DispatchService(self._database, self._signal, SystemClock(), lambda spec: "pipeline")
        with self._database.writing() as uow:
            uow.experiments.add(Experiment("e", "e", "", "", 1, 0, "AVAILABLE"))
            for name, spec in _SPECS.items():
                texts = (json.dumps(spec["pipeline_spec"]), json.dumps(spec["platform_spec"]))
                uow.specs.put(Spec(f"spec {name}", *texts))
            uow.pools.put(Pool(PoolKey("", "shared"), SLOTS))
        self._running = build_dispatch_server(service, None, Telemetry(lambda: (0, 0)))
        self.address = f"127.0.0.1:{self._running.server.add_insecure_port('127.0.0.1:0')}"
        self._running.server.start()

    def add(self, run_id: str, namespace: str, spec: str) -> None:
        now = time.time_ns() // 1_000_000
        history = (StateChange(RunState.PENDING, now),)
        run = Run(
            run_id, "e", run_id, "", namespace, "", "AVAILABLE", RunState.PENDING, history, now, now, f"spec {spec}"
        )  # fmt: skip
        with self._database.writing() as uow:
            uow.runs.add(run)
        self._signal.notify()

    def close(self) -> None:
        self._running.server.stop(None).wait()
        self._database.dispose()


class _Timers:
    """A backend whose tasks only take their time. `began`: when the first task of each run did."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self._count = 0
        self._changed = asyncio.Event()
        self._deliver: Callable[[BackendEvent], None] = lambda event: None

    async def begun(self, number: int) -> None:
        while self._count < number:
            await self._wait()

    async def has_begun(self, run_id: str) -> None:
        while run_id not in self.began:
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver

    async def default_root(self, namespace: str) -> str:
        return ""

    async def launch(self, task: TaskLaunch) -> None:
        self.began.setdefault(task.key.run_id, time.monotonic())
        self._count += 1
        self._changed.set()
        began = time.time_ns() // 1_000_000
        outcome = TaskOutcome(task.key, began, began + int(TASK_SECONDS * 1000), exit_code=0)
        asyncio.get_running_loop().call_later(TASK_SECONDS, self._deliver, outcome)

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        return ""

    def unreserve(self, key: AttemptKey) -> None: ...

    def places(self, namespace: str) -> int:
        return 0

    async def cancel(self, key: AttemptKey) -> None: ...

    def release(self, key: AttemptKey) -> None: ...

    async def forget(self, run_id: str) -> None: ...

    async def store(self, namespace: str) -> Any:
        raise NotImplementedError

    async def close(self) -> None: ...
