"""Launches that wait for a place: in order, a run for itself, ended at once, and told of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import AttemptKey, TaskLaunch, TaskOutcome
from penstock_executor.backends.base import NoCapacityError
from penstock_executor.dispatch import launches
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.metadata.null import NullRecorder
from penstock_ir.event_log import FailureKind

from tests.support.fake_peers import Backend, Server
from tools.testing import specs

FULL = "no place is free"
NONE: Mapping[str, int] = {}


class Places(Backend):
    """Has `free` places for the attempts of a namespace; attempts end when they are told to."""

    def __init__(self, **free: int) -> None:
        super().__init__()
        self.free = free
        self.most = 0
        self.launched: list[AttemptKey] = []
        self.canceled: list[AttemptKey] = []
        self._taken: dict[AttemptKey, str] = {}

    def places(self, namespace: str) -> int:
        return self.most

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        if key in self._taken:
            return ""
        if not self.free[namespace]:
            return FULL
        self.free[namespace] -= 1
        self._taken[key] = namespace
        return ""

    def unreserve(self, key: AttemptKey) -> None:
        if key in self._taken and key not in self.launched:
            self._give_back(key)

    async def launch(self, task: TaskLaunch) -> None:
        if why := self.reserve(task.key, task.namespace):
            raise NoCapacityError(why)
        self.launched.append(task.key)

    async def cancel(self, key: AttemptKey) -> None:
        self.canceled.append(key)
        self.end(key, FailureKind.CANCELED)

    def end(self, key: AttemptKey, failure: FailureKind | None = None) -> None:
        self._give_back(key)
        self._deliver(TaskOutcome(key, 1, 2, exit_code=0, failure=failure))

    def _give_back(self, key: AttemptKey) -> None:
        self.free[self._taken.pop(key)] += 1


class Loops(Server):
    """Gives each namespace's loop; keeps what tasks were said to wait for and when the rows were committed."""

    def __init__(
        self, *namespaces: str, size: int = 5, priorities: Mapping[str, int] = NONE, gangs: Sequence[str] = ()
    ) -> None:
        super().__init__()
        annotated = specs.annotated({"penstock.dev/gang": "true"}, specs.loop(size))
        platform = json.dumps(annotated["platform_spec"]).encode()
        self._runs = [
            pb.ClaimedRun(
                run_id=name,
                fence=1,
                namespace=name,
                pipeline_spec_json=json.dumps(specs.loop(size, ["true"])).encode(),
                platform_spec_json=platform if name in gangs else b"",
                policy=pb.RunPolicy(priority=priorities.get(name, 0)),
            )
            for name in namespaces
        ]
        self.waits: dict[tuple[str, str], str] = {}
        self.terminate: list[str] = []
        self.states: dict[str, str] = {}

    async def claim(self, *_: Any) -> pb.ClaimRunsResponse:
        if self._given:
            await asyncio.sleep(3600)
        self._given = True
        return pb.ClaimRunsResponse(runs=self._runs)

    async def heartbeat(self, *_: Any, **__: Any) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse(terminate_run_ids=self.terminate)

    async def report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        for run in runs:
            self.states.update((f"{run.run_id}/{row.path}", row.state) for row in run.tasks)
            self.waits.update(((run.run_id, wait.path), wait.text) for wait in run.waits)
        return await super().report(runs)


class Scene:
    def __init__(self, server: Loops, backend: Places, root: Any) -> None:
        settings = ExecutorSettings(f"file://{root}", f"{root}/{{run_id}}", heartbeat=0.01)
        executor = Executor(server, backend, NullRecorder(), settings)  # type: ignore[arg-type]
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(executor.run(self._stop))

    async def until(self, holds: Any) -> None:
        async def wait() -> None:
            while not holds():
                assert not self._running.done()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), 20)

    async def close(self) -> None:
        self._stop.set()
        await self._running


def paths(backend: Places, run_id: str) -> list[str]:
    return [key.path.split("/")[0] for key in backend.launched if key.run_id == run_id]


async def test_in_order_and_a_run_without_a_place_holds_up_no_other(tmp_path: Any) -> None:
    server, backend = Loops("full", "free"), Places(full=1, free=9)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: len(backend.launched) == 6)
    assert len(paths(backend, "free")) == 5
    while len(paths(backend, "full")) < 5:
        seen = len(backend.launched)
        backend.end(next(key for key in backend.launched if key in backend._taken and key.run_id == "full"))
        await scene.until(lambda: len(backend.launched) > seen)  # noqa: B023
    assert paths(backend, "full") == sorted(paths(backend, "full")), "first come, first served"
    await scene.close()


async def test_what_waits_is_told_of_and_told_when_it_does_no_more(tmp_path: Any) -> None:
    server, backend = Loops("full", size=2), Places(full=1)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: server.waits.get(("full", "")) == FULL)
    backend.end(backend.launched[0])
    await scene.until(lambda: len(backend.launched) == 2)
    await scene.until(lambda: server.waits.get(("full", "")) == "")
    await scene.close()


async def test_a_terminated_run_does_not_wait_for_places(tmp_path: Any) -> None:
    server, backend = Loops("full"), Places(full=0)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: server.waits.get(("full", "")) == FULL)
    server.terminate.append("full")
    await scene.until(lambda: "full" in server.final)
    assert backend.launched == []
    assert {state for path, state in server.states.items() if path.endswith("/t")} <= {"CANCELED"}
    await scene.close()


class OnePlace(Places):
    """All runs share one place, and every attempt that has it ends by itself."""

    def __init__(self) -> None:
        super().__init__(shared=0)

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        return super().reserve(key, "shared")


async def one_after_the_other(tmp_path: Any, **priorities: int) -> list[str]:
    """The runs of the launches, when both had all of theirs waiting before there was a place."""
    server, backend = Loops("first", "second", size=3, priorities=priorities), OnePlace()
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: server.waits.keys() >= {("first", ""), ("second", "")})
    backend.free["shared"] = 1
    for number in range(1, 7):
        await scene.until(lambda: len(backend.launched) == number)  # noqa: B023
        backend.end(backend.launched[-1])
    await scene.close()
    return [key.run_id for key in backend.launched]


async def test_runs_of_one_priority_have_their_turns_one_after_the_other(tmp_path: Any) -> None:
    assert await one_after_the_other(tmp_path) == ["first", "second"] * 3


async def test_a_run_of_higher_priority_has_its_turns_first(tmp_path: Any) -> None:
    assert await one_after_the_other(tmp_path, second=1) == ["second"] * 3 + ["first"] * 3


class Shared(Places):
    """All runs share `free` places."""

    def __init__(self, free: int) -> None:
        super().__init__(shared=free)

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        return super().reserve(key, "shared")


async def test_a_gang_is_launched_when_there_is_a_place_for_each_and_holds_none_before(tmp_path: Any) -> None:
    server, backend = Loops("gang", size=3, gangs=["gang"]), Shared(2)
    scene = Scene(server, backend, tmp_path)
    await scene.until(
        lambda: server.waits.get(("gang", "")) == f"3 attempts start together, and 2 have a place: {FULL}"
    )
    assert backend.free == {"shared": 2}
    assert backend.launched == []
    backend.free["shared"] += 1
    await scene.until(lambda: len(backend.launched) == 3)
    await scene.close()


async def test_two_gangs_of_more_than_half_do_not_hold_each_other_up(tmp_path: Any) -> None:
    server, backend = Loops("a", "b", size=3, gangs=["a", "b"]), Shared(4)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: len(backend.launched) == 3 and server.waits.get(("b", "")))
    assert {key.run_id for key in backend.launched} == {"a"}
    for key in list(backend.launched):
        backend.end(key)
    await scene.until(lambda: len(backend.launched) == 6)
    await scene.close()


async def test_a_member_that_failed_is_launched_again_alone(tmp_path: Any) -> None:
    server, backend = Loops("gang", size=2, gangs=["gang"]), Shared(2)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: len(backend.launched) == 2)
    backend.end(backend.launched[0], FailureKind.INFRASTRUCTURE)
    await scene.until(lambda: len(backend.launched) == 3)
    assert (backend.launched[2].path, backend.launched[2].attempt) == (backend.launched[0].path, 2)
    await scene.close()


async def test_a_gang_of_more_than_all_places_fails_with_the_way_out(tmp_path: Any) -> None:
    server, backend = Loops("gang", size=3, gangs=["gang"]), Shared(2)
    backend.most = 2
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: "gang" in server.final)
    assert "3 attempts of the loop start together" in server.final["gang"].error
    assert "runs 2 at a time: give it more places (--parallelism," in server.final["gang"].error
    assert backend.launched == []
    await scene.close()


async def test_a_terminated_gang_that_waits_leaves_nothing_reserved(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(launches, "KEEPS_AFTER_SECONDS", 0.0)
    server, backend = Loops("gang", size=3, gangs=["gang"]), Shared(2)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: backend.free == {"shared": 0})
    server.terminate.append("gang")
    await scene.until(lambda: "gang" in server.final and backend.free == {"shared": 2})
    assert backend.launched == []
    await scene.close()


async def test_small_tasks_pass_a_gang_by_for_a_minute_at_most(tmp_path: Any, monkeypatch: Any) -> None:
    """The minute is none here."""
    monkeypatch.setattr(launches, "KEEPS_AFTER_SECONDS", 0.0)
    server, backend = Loops("small", "gang", size=3, gangs=["gang"]), Shared(0)
    scene = Scene(server, backend, tmp_path)
    await scene.until(lambda: server.waits.keys() >= {("small", ""), ("gang", "")})
    backend.free["shared"] = 3
    text = f"3 attempts start together, and 2 have a place: {FULL}"
    await scene.until(lambda: server.waits[("gang", "")] == text)
    assert [key.run_id for key in backend.launched] == ["small"], "two places are free, and kept"
    backend.end(backend.launched[0])
    await scene.until(lambda: len(backend.launched) == 4)
    assert [key.run_id for key in backend.launched[1:]] == ["gang"] * 3
    await scene.close()
