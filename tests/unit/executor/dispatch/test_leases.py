"""Nothing is begun for a run whose lease is not certain: it waits, and is begun when the lease is ours after all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import AttemptKey, TaskLaunch, TaskOutcome
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.dispatch.leases import Leases
from penstock_executor.errors import ServerUnavailableError
from penstock_executor.metadata.null import NullRecorder

from tests.support.fake_peers import Backend, Server
from tools.testing import specs


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_lease_counts_from_the_request_and_ends_before_the_servers(clock: Clock) -> None:
    leases = Leases(clock)
    assert not leases.certain("r")
    leases.granted(["r"], sent=990.0, seconds=15.0)
    clock.seconds = 1004.2
    assert leases.certain("r")
    clock.seconds = 1004.3
    assert not leases.certain("r")
    leases.granted(["r"], sent=1004.3, seconds=15.0)
    assert leases.certain("r")
    leases.ended("r")
    assert not leases.certain("r")


async def test_who_waits_for_a_lapsed_lease_goes_on_when_it_is_renewed_and_gives_up_when_it_is_lost(
    clock: Clock,
) -> None:
    leases = Leases(clock)
    leases.granted(["kept", "lost"], sent=900.0, seconds=15.0)
    kept, lost = (asyncio.create_task(leases.until_certain(name)) for name in ("kept", "lost"))
    done, _ = await asyncio.wait([kept, lost], timeout=0.05)
    assert not done
    leases.granted(["kept"], sent=clock(), seconds=15.0)
    assert await kept
    leases.ended("lost")
    assert not await lost
    assert not await leases.until_certain("never held")


def test_a_lease_is_renewed_when_a_third_of_it_has_gone_and_others_with_it(clock: Clock) -> None:
    leases = Leases(clock)
    leases.granted(["old"], sent=1000.0, seconds=15.0)
    leases.granted(["young"], sent=1002.3, seconds=15.0)
    leases.granted(["new"], sent=1002.5, seconds=15.0)
    clock.seconds = 1004.7
    assert not leases.renewal().run_ids
    clock.seconds = 1004.8
    assert leases.renewal().run_ids == {"old", "young"}
    leases.granted(["old", "young"], sent=1004.8, seconds=15.0)
    assert not leases.renewal().run_ids
    leases.ended("new")
    clock.seconds = 1100.0
    assert leases.renewal().run_ids == {"old", "young"}


def test_a_heartbeat_prolongs_what_it_renewed_and_nothing_else(clock: Clock) -> None:
    leases = Leases(clock)
    leases.granted(["due", "lost"], sent=1000.0, seconds=15.0)
    leases.granted(["asked"], sent=1004.5, seconds=15.0)
    clock.seconds = 1005.0
    renewal = leases.renewal()
    leases.ended("lost")
    # The answer takes its time, and a run of the same name is held anew: under another fence, so it is not `held`.
    clock.seconds = 1006.0
    leases.renewed(renewal, ["due", "asked", "nobody asked for this one"], 15.0)
    assert [leases.left(one) for one in ("due", "asked")] == pytest.approx([13.25, 12.75])
    assert not leases.certain("lost")
    assert not leases.certain("nobody asked for this one")


class OneRun(Server):
    """Gives one run; its answers to heartbeats say what `verdict` says."""

    def __init__(self, verdict: str) -> None:
        super().__init__()
        self.beats = 0
        self.renewals = 0
        self.verdict = verdict
        self.released: list[str] = []

    async def claim(self, *_: Any) -> pb.ClaimRunsResponse:
        if self._given:
            await asyncio.sleep(3600)
        self._given = True
        spec = json.dumps(specs.chain({"a": ["true"]})).encode()
        return pb.ClaimRunsResponse(runs=[pb.ClaimedRun(run_id="healthy", fence=1, pipeline_spec_json=spec)])

    async def heartbeat(self, leases: Any, *_: Any, release: bool = False) -> pb.HeartbeatResponse:
        if release:
            self.released += [one.run_id for one in leases]
            return pb.HeartbeatResponse()
        if self.verdict == "away":
            raise ServerUnavailableError("it is away")
        self.beats += 1
        self.renewals += sum(not one.unrenewed for one in leases)
        return pb.HeartbeatResponse(lost_run_ids=["healthy"] if self.verdict == "lost" else [])


class Recording(Backend):
    """Asks as a backend must, right before it starts something."""

    def __init__(self, refuse_once: bool = False) -> None:
        super().__init__()
        self.launched: list[AttemptKey] = []
        self._refuse = refuse_once

    async def start(self, deliver: Any, runs: HeldRuns) -> None:
        await super().start(deliver, runs)
        self.runs = runs

    async def launch(self, task: TaskLaunch) -> None:
        if self._refuse:
            self._refuse = False
            raise LeaseUncertainError("for once")
        assert self.runs.may_act(task.key.run_id)
        self.launched.append(task.key)
        self._deliver(TaskOutcome(task.key, 1, 2, exit_code=0))


def executor(server: Server, backend: Backend, root: Any, recorder: Any = None) -> Executor:
    settings = ExecutorSettings(f"file://{root}", f"{root}/{{run_id}}", heartbeat=0.01)
    return Executor(server, backend, recorder or NullRecorder(), settings)  # type: ignore[arg-type]


async def until(holds: Any, running: asyncio.Task[None]) -> None:
    while not holds():
        assert not running.done()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("verdict", ["ours", "lost"])
async def test_what_is_committed_after_a_long_sleep_waits_for_the_servers_word(verdict: str, tmp_path: Any) -> None:
    clock, server, backend = Clock(), OneRun("ours"), Recording()
    made = executor(server, backend, tmp_path)
    made._leases.now = clock
    report = server.report

    async def slow(runs: Any) -> Any:
        if not server.final and clock.seconds == 1000.0:
            # Asleep between the commit and what follows from it.
            clock.seconds += 20.0
            server.verdict = verdict
        return await report(runs)

    server.report = slow  # type: ignore[method-assign]
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    await until(
        lambda: server.final if verdict == "ours" else "healthy" not in made._sessions and server.beats, running
    )
    stop.set()
    await running
    assert len(backend.launched) == (1 if verdict == "ours" else 0)
    assert set(server.final) == ({"healthy"} if verdict == "ours" else set())


async def test_a_backend_that_finds_the_lease_lapsed_is_asked_again(tmp_path: Any) -> None:
    server, backend = OneRun("ours"), Recording(refuse_once=True)
    stop = asyncio.Event()
    running = asyncio.create_task(executor(server, backend, tmp_path).run(stop))
    await until(lambda: server.final, running)
    stop.set()
    await running
    assert server.final["healthy"].state == "SUCCEEDED"
    assert len(backend.launched) == 1


async def test_a_heartbeat_that_renewed_nothing_proves_no_longer_lease(tmp_path: Any) -> None:
    """The server that answered it has left the end of the lease as it was, and gives the run away then."""

    class Hanging(Recording):
        async def launch(self, task: TaskLaunch) -> None:
            self.launched.append(task.key)

    clock, server, backend = Clock(), OneRun("ours"), Hanging()
    made = executor(server, backend, tmp_path)
    made._leases.now = clock
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    await until(lambda: backend.launched, running)
    clock.seconds = 1004.5
    beats = server.beats
    await until(lambda: server.beats > beats + 1, running)
    assert server.renewals == 0
    server.verdict = "away"
    clock.seconds = 1014.2
    assert made.may_act("healthy")
    clock.seconds = 1014.3
    assert not made.may_act("healthy")
    # Back again, it renews at once: nobody has taken the run.
    server.verdict = "ours"
    await until(lambda: server.renewals, running)
    await until(lambda: made.may_act("healthy"), running)
    stop.set()
    await running


async def test_a_drain_hands_runs_back_and_begins_nothing_any_more(tmp_path: Any) -> None:
    class Hanging(Recording):
        async def launch(self, task: TaskLaunch) -> None:
            self.launched.append(task.key)

    server, backend = OneRun("ours"), Hanging()
    made = executor(server, backend, tmp_path)
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    await until(lambda: backend.launched, running)
    stop.set()
    await running
    assert server.released == ["healthy"]
    assert not made.may_act("healthy")


async def test_a_drain_lets_lineage_under_way_be_written_before_others_write(tmp_path: Any) -> None:
    """Else a state of before would come after theirs."""

    class Slow(NullRecorder):
        def __init__(self) -> None:
            self.begun, self.done, self.go_on = 0, 0, asyncio.Event()

        async def record(self, batch: Any, left: Any) -> Any:
            self.begun += 1
            await self.go_on.wait()
            self.done += 1
            return await super().record(batch, left)

    class Hanging(Recording):
        async def launch(self, task: TaskLaunch) -> None:
            self.launched.append(task.key)

    server, recorder = OneRun("ours"), Slow()
    stop = asyncio.Event()
    running = asyncio.create_task(executor(server, Hanging(), tmp_path, recorder).run(stop))
    await until(lambda: recorder.begun, running)
    stop.set()
    beats = server.beats
    await until(lambda: server.beats > beats + 3, running)
    assert server.released == []
    recorder.go_on.set()
    await running
    assert server.released == ["healthy"]
    assert recorder.begun == recorder.done
