"""When attempts came to their phases (docs/attempts.md): real local processes, the Kubernetes backend on a simulated
API server, and the executor between a backend and a server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import (
    AttemptTimes,
    BackendEvent,
    TaskLaunch,
    TaskOutcome,
    TaskStarted,
    TaskWaiting,
)
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.metadata.null import NullRecorder
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import FailureKind
from penstock_store.files import FileArtifactStore, uri_of

from tests.support import fake_peers
from tests.support.held_runs import Runs
from tests.support.kube_bench import bench, well
from tests.support.launch import launch
from tools.sim_kube.outcome import Outcome


def millis() -> int:
    return time.time_ns() // 1_000_000


def told(times: AttemptTimes) -> dict[str, int]:
    """The phases that are known, in their order, which their times have to keep."""
    named = [one.name for one in fields(times) if one.name != "node"]
    known = {name: at for name in named if (at := getattr(times, name))}
    assert list(known.values()) == sorted(known.values()), known
    return known


class Heard:
    def __init__(self) -> None:
        self.events: list[BackendEvent] = []
        self._changed = asyncio.Event()

    def deliver(self, event: BackendEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def outcome(self, task: TaskLaunch) -> TaskOutcome:
        while True:
            for event in self.events:
                if isinstance(event, TaskOutcome) and event.key == task.key:
                    return event
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 60)


# --- local processes ------------------------------------------------------------------------------------------------


# A fork server outlives who started it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_local_attempts_of_which_one_waits_for_the_others_place(tmp_path: Path, environments: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "given").write_text("x")
    reads = {"x": [Artifact("x", "system.Dataset", uri_of(root / "given"))]}
    tasks = [launch("sleep", "0.3", root=root.as_uri(), path=path, reads=reads) for path in ("first", "second")]
    missing = launch("no-such-command", root=root.as_uri(), path="missing", image="elsewhere")
    backend = LocalBackend(
        LocalSettings(tmp_path / "work", environments, 1), FileArtifactStore(root), {"PATH": os.defpath}
    )
    heard = Heard()
    await backend.start(heard.deliver, Runs())
    began = millis()
    try:
        await asyncio.wait_for(asyncio.gather(*map(backend.launch, tasks)), 60)
        ended = [(await heard.outcome(task)).times for task in tasks]
        await backend.launch(missing)
        failed = await heard.outcome(missing)
    finally:
        await backend.close()
    first, second = sorted(ended, key=lambda times: times.started)
    for times in (first, second):
        assert list(told(times)) == ["placed", "prepared", "fetched", "started", "finished", "stored"]
        assert began <= times.placed
        assert times.stored <= millis()
    assert first.finished - first.started >= 300
    assert second.fetched >= first.finished, "its place was the other's"
    starts = [event for event in heard.events if isinstance(event, TaskStarted) and event.key.path == "second"]
    assert starts[0].times.started == starts[0].at_millis
    assert failed.failure is FailureKind.CONFIGURATION
    assert told(failed.times)


# --- Pods -----------------------------------------------------------------------------------------------------------


async def test_a_pods_phases_are_the_same_for_whoever_reads_them(tmp_path: Path) -> None:
    began = millis()
    result = AttemptResult(ProcessExit(0, started_at=began + 2_000, finished_at=began + 2_100))
    async with bench(tmp_path, Outcome(messages={"main": result.to_json()}, seconds=0.5), latency=0.3) as b:
        first, task = await b.backend(), b.task()
        await first.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.succeeded, outcome.error
        assert set(told(outcome.times)) == {"placed", "scheduled", "prepared", "started", "finished"}
        assert outcome.times.node
        assert outcome.times.finished - outcome.times.started == 100
        (started,) = [event for event in b.events if isinstance(event, TaskStarted)]
        assert started.times.node == outcome.times.node
        assert set(told(started.times)) == {"placed", "scheduled", "prepared", "started"}
        await first.close()
        b.events.clear()
        second = await b.backend()
        await second.launch(task)
        assert (await b.outcome(task.key)).times == outcome.times
        await second.close()


async def test_how_far_a_pod_is_is_told_with_why_it_waits(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("config-error")) as b:
        backend, task = await b.backend(deadlines=Deadlines(configuration=2.0)), b.task()
        await backend.launch(task)
        await b.wait(task.key, within=4.0)
        waiting = [event for event in b.events if isinstance(event, TaskWaiting)]
        assert set(told(waiting[-1].times)) == {"placed", "scheduled"}
        assert waiting[-1].times.node
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert set(told(outcome.times)) == {"placed", "scheduled"}, "its program never ran"
        await backend.close()


async def test_times_that_a_program_made_up_are_not_told(tmp_path: Path) -> None:
    forged = AttemptResult(ProcessExit(0, started_at=1, finished_at=2**62), fetched_at=2**62, stored_at=1).to_json()
    async with bench(tmp_path, Outcome(messages={"main": forged})) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        times = (await b.outcome(task.key)).times
        await backend.close()
    assert (times.fetched, times.stored) == (0, 0)
    assert millis() - 60_000 < times.started <= times.finished <= millis()


async def test_a_result_of_the_release_before(tmp_path: Path) -> None:
    old = '{"exit":{"code":0,"signal":0},"parameters":{},"log_stored":false}'
    assert AttemptResult.from_json(old) == AttemptResult(ProcessExit(0))
    for message in (old, well()):
        async with bench(tmp_path, Outcome(messages={"main": message})) as b:
            backend, task = await b.backend(), b.task()
            await backend.launch(task)
            outcome = await b.outcome(task.key)
            assert outcome.succeeded, outcome.error
            assert set(told(outcome.times)) == {"placed", "scheduled", "prepared", "started", "finished"}
            await backend.close()


# --- from the backend to the server ---------------------------------------------------------------------------------


class Server(fake_peers.Server):
    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str, int], pb.AttemptRow] = {}

    async def report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        for run in runs:
            for row in run.attempts:
                self.rows.setdefault((run.run_id, row.path, row.attempt), pb.AttemptRow()).MergeFrom(row)
        return await super().report(runs)


class Backend(fake_peers.Backend):
    """Attempts wait, start and end, each a millisecond after the other."""

    def __init__(self, times: AttemptTimes) -> None:
        super().__init__()
        self._times = times

    async def launch(self, task: TaskLaunch) -> None:
        at = self._times
        self._deliver(TaskWaiting(task.key, "the Pod is made", AttemptTimes(placed=at.placed)))
        started = AttemptTimes(placed=at.placed, scheduled=at.scheduled, started=at.started, node=at.node)
        self._deliver(TaskStarted(task.key, at.started, "log", "pod", started))
        self._deliver(TaskOutcome(task.key, at.started, at.finished, exit_code=0, pod_name="pod", times=at))


async def carried_out(times: AttemptTimes, directory: Path) -> Server:
    server = Server()
    settings = ExecutorSettings(default_root=directory.as_uri(), workspace_path=f"{directory}/{{run_id}}")
    executor: Any = Executor(server, Backend(times), NullRecorder(), settings)  # type: ignore[arg-type]
    stop = asyncio.Event()
    running = asyncio.create_task(executor.run(stop))
    while len(server.final) < 2:
        assert not running.done()
        await asyncio.sleep(0.01)
    stop.set()
    await running
    return server


async def test_the_server_hears_of_every_attempt_with_its_phases(tmp_path: Path) -> None:
    before = millis()
    at: dict[str, Any] = dict(zip((one.name for one in fields(AttemptTimes)), range(before - 7, before), strict=False))
    server = await carried_out(AttemptTimes(**at, node="n1"), tmp_path)
    assert {key[:2] for key in server.rows} == {(run, path) for run in ("poison", "healthy") for path in ("a", "b")}
    for row in server.rows.values():
        assert (row.attempt, row.outcome, row.exit_code, row.node, row.pod_name) == (1, "succeeded", 0, "n1", "pod")
        assert before <= row.created_at_millis <= row.placed_at_millis <= row.scheduled_at_millis
        assert row.scheduled_at_millis <= row.started_at_millis <= row.finished_at_millis <= row.stored_at_millis
        assert row.stored_at_millis <= row.ended_at_millis <= millis()
