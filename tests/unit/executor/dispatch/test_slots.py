"""What asks for slots waits for them before it is launched; what asks for none costs no call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.errors import ServerUnavailableError
from penstock_executor.metadata.null import NullRecorder
from penstock_ir.event_log import AttemptEnded, BackoffElapsed, Event, FailureKind, RunStarted, encode
from penstock_ir.task_rows import TaskState

from tests.support.fake_peers import Backend, Server
from tools.testing import specs

Answer = pb.TakeSlotsResponse.Answer


class Counting(Backend):
    """Every attempt succeeds at once."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: list[AttemptKey] = []

    async def launch(self, task: TaskLaunch) -> None:
        self.launched.append(task.key)
        await super().launch(task)


class Slots(Server):
    """Gives a loop of three tasks once, unless told otherwise, and `free` slots; keeps what was asked and reported."""

    def __init__(
        self, pool: str = "gpu", free: int = 0, pool_of_run: str = "", size: int = 3, gang: str = "false"
    ) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.free = free
        self.asked: list[pb.TakeSlotsRequest.Attempt] = []
        self.answer = Answer(state=Answer.STATE_WAITING, text="waits for a slot")
        self.waits: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.errors: set[str] = set()
        self.terminate: list[str] = []
        self.limited = False
        self.away = False
        self.granted: set[str] = set()
        self._pool, self._pool_of_run, self._gang = pool, pool_of_run, gang
        self.runs(size)

    def runs(self, size: int, log: Sequence[Event] = ()) -> None:
        """What it gives: a loop of so many tasks, of which an earlier owner left this log."""
        pool, asks = self._pool, {"penstock.dev/pool": self._pool, "penstock.dev/gang": self._gang}
        document = specs.annotated(asks, specs.loop(size)) if pool else {"pipeline_spec": specs.loop(size)}
        self._run = pb.ClaimedRun(
            run_id="run",
            fence=1,
            pipeline_spec_json=json.dumps(document["pipeline_spec"]).encode(),
            platform_spec_json=json.dumps(document["platform_spec"]).encode() if pool else b"",
            policy=pb.RunPolicy(pool=self._pool_of_run),
            events=[encode(event) for event in log],
        )

    async def claim(self, *_: Any) -> pb.ClaimRunsResponse:
        if self._given:
            await asyncio.sleep(3600)
        self._given = True
        return pb.ClaimRunsResponse(runs=[self._run], limited=self.limited)

    async def heartbeat(self, *_: Any, **__: Any) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse(terminate_run_ids=self.terminate, limited=self.limited)

    async def take_slots(
        self, attempts: Sequence[pb.TakeSlotsRequest.Attempt], *, why: bool
    ) -> Sequence[pb.TakeSlotsResponse.Answer]:
        if self.away:
            raise ServerUnavailableError("it is away")
        self.asked.extend(attempts)
        self.calls.append(len(attempts))
        return [self._answer(one.path) for one in attempts]

    def _answer(self, path: str) -> pb.TakeSlotsResponse.Answer:
        if path not in self.granted:
            if not self.free:
                return self.answer
            self.free -= 1
            self.granted.add(path)
        return Answer(state=Answer.STATE_GRANTED)

    async def report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        for run in runs:
            self.states.update((row.path, row.state) for row in run.tasks)
            self.errors.update(row.error for row in run.tasks if row.path.endswith("/t"))
            self.waits.update((wait.path, wait.text) for wait in run.waits)
        return await super().report(runs)


class Scene:
    def __init__(self, server: Slots, root: Any) -> None:
        self.backend = Counting()
        settings = ExecutorSettings(f"file://{root}", f"{root}/{{run_id}}", heartbeat=0.01)
        executor = Executor(server, self.backend, NullRecorder(), settings)  # type: ignore[arg-type]
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(executor.run(self._stop))

    async def until(self, holds: Any) -> None:
        async def wait() -> None:
            while not holds():
                assert not self._running.done()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), 30)

    async def close(self) -> None:
        self._stop.set()
        await self._running


async def test_each_is_launched_when_its_slots_are_granted(tmp_path: Any) -> None:
    server = Slots()
    scene = Scene(server, tmp_path)
    await scene.until(lambda: len({one.path for one in server.asked}) == 3)
    assert scene.backend.launched == []
    assert {(one.run_id, one.fence, one.attempt) for one in server.asked} == {("run", 1, 1)}
    assert {(demand.pool, demand.slots) for one in server.asked for demand in one.demands} == {("gpu", 1)}
    await scene.until(lambda: "waits for a slot" in server.waits.values())
    for number in range(1, 4):
        server.free = 1
        await scene.until(lambda: len(scene.backend.launched) == number)  # noqa: B023
    await scene.until(lambda: "run" in server.final)
    assert server.final["run"].state == TaskState.SUCCEEDED.value
    await scene.close()


async def test_what_asks_for_nothing_makes_no_call(tmp_path: Any) -> None:
    server = Slots(pool="")
    scene = Scene(server, tmp_path)
    await scene.until(lambda: "run" in server.final)
    assert (len(scene.backend.launched), server.asked) == (3, [])
    await scene.close()


async def test_where_there_are_limits_everything_asks(tmp_path: Any) -> None:
    server = Slots(pool="", free=9)
    server.limited = True
    scene = Scene(server, tmp_path)
    await scene.until(lambda: "run" in server.final)
    assert len({one.path for one in server.asked}) == 3
    assert not any(one.demands for one in server.asked)
    await scene.close()


async def test_a_runs_pool_is_asked_for_by_each_task_besides_its_own(tmp_path: Any) -> None:
    server = Slots(pool="gpu=2", free=9, pool_of_run="licence")
    scene = Scene(server, tmp_path)
    await scene.until(lambda: "run" in server.final)
    asked = {tuple((demand.pool, demand.slots) for demand in one.demands) for one in server.asked}
    assert asked == {(("gpu", 2), ("licence", 1))}
    await scene.close()


async def test_what_is_refused_fails_with_its_words(tmp_path: Any) -> None:
    server = Slots()
    server.answer = Answer(state=Answer.STATE_REFUSED, text="there is no pool 'gpu'")
    scene = Scene(server, tmp_path)
    await scene.until(lambda: "run" in server.final)
    assert server.final["run"].state == TaskState.FAILED.value
    assert "there is no pool 'gpu'" in server.errors
    assert scene.backend.launched == []
    await scene.close()


async def test_a_terminated_run_does_not_wait_for_slots(tmp_path: Any) -> None:
    server = Slots()
    scene = Scene(server, tmp_path)
    await scene.until(lambda: server.asked)
    server.terminate.append("run")
    await scene.until(lambda: "run" in server.final)
    assert scene.backend.launched == []
    await scene.close()


async def test_who_takes_a_run_over_finds_the_one_that_holds_the_slot(tmp_path: Any) -> None:
    """All but the last of a loop are tried again and wait; the last one runs, with the only slot."""
    server = Slots()
    paths = [f"loop[{number}]/t" for number in range(12)]
    ends: list[Event] = [
        AttemptEnded(path, 1, 2, failure=FailureKind.INFRASTRUCTURE, error="the host went away") for path in paths[:-1]
    ]
    log = [RunStarted(1, "file:///root"), *ends, *(BackoffElapsed(path, 1, 100_000) for path in paths[:-1])]
    server.runs(12, log)
    server.granted.add(paths[-1])
    scene = Scene(server, tmp_path)
    await scene.until(lambda: scene.backend.launched)
    assert [(key.path, key.attempt) for key in scene.backend.launched] == [(paths[-1], 1)]
    assert {one.log_length for one in server.asked} >= {len(log)}, "it tells how much of the log it knows"
    await scene.close()


async def test_a_server_that_is_away_is_asked_again(tmp_path: Any) -> None:
    server = Slots(free=9)
    server.away = True
    scene = Scene(server, tmp_path)
    await scene.until(lambda: any(path.endswith("/t") for path in server.states))
    server.away = False
    await scene.until(lambda: "run" in server.final)
    assert len(scene.backend.launched) == 3
    await scene.close()


async def test_a_gang_is_asked_for_whole_in_each_first_call_and_launched_when_all_have_slots(tmp_path: Any) -> None:
    server = Slots(size=30, gang="true")
    scene = Scene(server, tmp_path)
    await scene.until(lambda: server.calls)
    assert server.calls[0] == 30, "of a loop without the annotation it would be ten"
    assert {one.gang for one in server.asked} == {"loop[*]/t"}
    server.free = 29
    await scene.until(lambda: server.free == 0)
    assert scene.backend.launched == [], "no server does that; the last one is waited for all the same"
    server.free = 1
    await scene.until(lambda: "run" in server.final)
    assert len(scene.backend.launched) == 30
    await scene.close()


async def test_a_gang_that_is_ended_while_it_waits_asks_no_more(tmp_path: Any) -> None:
    server = Slots(size=3, gang="true")
    scene = Scene(server, tmp_path)
    await scene.until(lambda: server.calls)
    server.terminate.append("run")
    await scene.until(lambda: "run" in server.final)
    assert scene.backend.launched == []
    await scene.close()
