"""A warm worker's agent with a first process and attempts that are made up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from penstock_executor.agent.begun import BegunAttempts
from penstock_executor.agent.hand_over import WorkerStuckError
from penstock_executor.agent.patience import Patience
from penstock_executor.agent.protocol import AgentTask, AttemptResult, ProcessExit
from penstock_executor.agent.worker import Worker

from tests.support.warm_worker import AgentClient, connected


class Process:
    """An attempt that ends when it is told how."""

    def __init__(self, events: list[str]) -> None:
        self.end: asyncio.Future[AttemptResult] = asyncio.get_running_loop().create_future()
        self._events = events

    def give(self, task: AgentTask) -> None:
        self._events.append("task")

    def wrapper_has_ended(self) -> None:
        self.end.set_result(AttemptResult(exit=None))

    def stop(self) -> None:
        self._events.append("stop")

    def kill(self) -> None:
        self._events.append("kill")

    async def result(self) -> AttemptResult:
        return await self.end


class World:
    """The worker's first process, and its attempts."""

    def __init__(self, **options: Any) -> None:
        self.events: list[str] = []
        self.process: Process | None = None
        self.stuck_at = ""
        self.ended = asyncio.Event()
        self.message_fails = False
        me: Any = self
        self.worker = Worker(cast("Any", self), me, leave_message=self._message, **options)

    def _message(self, identities: Sequence[str]) -> None:
        if self.message_fails:
            raise PermissionError("no")
        self.events.append(f"message {','.join(identities)}")

    async def start(self) -> Process:
        self.process = Process(self.events)
        return self.process

    async def ready(self) -> None:
        self._may_be_stuck("ready")

    def instructions(self, arguments: Sequence[str], variables: Mapping[str, str], log_token: str) -> bytes:
        return b""

    async def give(self, instructions: bytes) -> None:
        self.events.append("give")
        self._may_be_stuck("give")

    async def leave(self) -> None:
        self.events.append("leave")

    async def attempt_ended(self) -> None:
        await self.ended.wait()

    async def stop(self, *, at_once: bool) -> None:
        self.events.append("stop at once" if at_once else "ask to stop")

    async def taken(self, *, goes_on: bool) -> None:
        self.events.append("next" if goes_on else "last")
        self._may_be_stuck("taken")

    def _may_be_stuck(self, at: str) -> None:
        if self.stuck_at == at:
            raise WorkerStuckError("stuck")

    def end(self, code: int = 0) -> None:
        assert self.process is not None
        self.process.end.set_result(AttemptResult(ProcessExit(code)))


class Served:
    """A worker that serves, and somebody connected."""

    def __init__(self, socket: Path, **options: Any) -> None:
        self.world = World(**options)
        self.socket = socket
        self.serving = asyncio.ensure_future(self.world.worker.serve(socket))
        self._clients: list[AgentClient] = []

    async def why(self) -> str:
        """Why it ended."""
        return await asyncio.wait_for(self.serving, 30)

    async def client(self) -> AgentClient:
        self._clients.append(await connected(self.socket))
        return self._clients[-1]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        self.serving.cancel()
        await asyncio.wait([self.serving])


async def begin(client: AgentClient, identity: str, run_id: str = "run", fence: int = 1) -> None:
    task = json.loads(AgentTask("root").to_json())
    await client.send(
        op="run", id=identity, run_id=run_id, fence=fence, task=task, arguments=[], variables={}, log_token="a"
    )


Serve = Callable[..., Served]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Called once."""
    made: list[Served] = []

    def begin_to_serve(**options: Any) -> Served:
        made.append(Served(tmp_path / "socket", **options))
        return made[-1]

    yield begin_to_serve
    for served in made:
        await served.close()


@pytest.fixture
async def served(serve: Serve) -> Served:
    return serve(attempts=BegunAttempts(most_fences=2))


async def test_the_message_is_left_before_an_attempt_can_begin(served: Served) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    await begin(client, "a")
    await client.heard("started", id="a", number=1)
    served.world.end()
    await client.heard("ended", id="a")
    await client.heard("state", ready=True)
    assert served.world.events == ["message ", "message a", "task", "give", "next"]


async def test_a_message_that_cannot_be_left_ends_the_worker(served: Served) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    served.world.message_fails = True
    await begin(client, "a")
    assert "message" in (await client.heard("refused", id="a"))["why"]
    assert "message" in await served.why()
    assert served.world.worker.stuck and "give" not in served.world.events and "leave" in served.world.events


async def test_a_wrapper_without_a_trace_is_not_waited_for(served: Served) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    await begin(client, "a")
    await client.heard("started", id="a")
    served.world.ended.set()
    assert (await client.heard("ended", id="a"))["result"]["exit"] is None


async def test_too_many_runs_end_the_worker_after_what_runs(served: Served) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    await begin(client, "a", "one")
    await client.heard("started", id="a")
    for run_id in ("two", "three", "four"):
        await client.send(op="fence", run_id=run_id, fence=1)
        assert (await client.heard("fenced", run_id=run_id))["attempts"] == []
    await client.heard("state", over="it knows of 2 runs, and takes no more", running="a")
    await client.send(op="fence", run_id="one", fence=0)
    await client.heard("refused", run_id="one")
    served.world.end()
    await client.heard("ended", id="a")
    await begin(client, "b", "one")
    await client.heard("refused", id="b")
    assert "last" in served.world.events
    await client.send(op="forget", id="a", run_id="one", fence=1)
    assert await served.why() == "it knows of 2 runs, and takes no more"
    assert not served.world.worker.stuck


@pytest.mark.parametrize("at", ["give", "taken"])
async def test_the_end_of_an_attempt_is_told_when_the_worker_is_stuck(served: Served, at: str) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    served.world.stuck_at = at
    await begin(client, "a")
    if at == "taken":
        await client.heard("started", id="a")
        served.world.end()
    told = await client.heard("ended", id="a")
    assert told["result"]["failure"] == (
        ["infrastructure", "the worker cannot be used: stuck"] if at == "give" else None
    )
    await client.heard("state", over="stuck", running="")
    # It waits for whoever did not hear.
    later = await served.client()
    await later.send(op="watch", id="a", run_id="run", fence=1)
    await later.heard("ended", id="a")
    await later.send(op="forget", id="a", run_id="run", fence=1)
    assert await served.why() == "stuck"
    assert served.world.worker.stuck


async def test_a_worker_that_does_not_become_ready_ends(serve: Serve) -> None:
    served = serve()
    served.world.stuck_at = "ready"
    assert await served.why() == "stuck"


async def test_results_are_waited_for_but_not_for_ever(serve: Serve) -> None:
    """Longer than for nobody: the times are as far apart as one that passes and one that does not."""
    served = serve()
    client = await served.client()
    await client.heard("state", ready=True)
    # Not before somebody is there.
    served.world.worker._patience = Patience(unattended=0.01, kept=3600)
    await begin(client, "a")
    await client.heard("started", id="a")
    served.world.end()
    await client.heard("state", ready=True)
    await client.close()
    await asyncio.wait([served.serving], timeout=0.3)
    client = await served.client()
    await client.send(op="watch", id="a", run_id="run", fence=1)
    await client.heard("ended", id="a")
    await client.send(op="forget", id="a", run_id="run", fence=1)
    await client.heard("forgotten")
    await client.close()
    assert await served.why() == "nobody was there for 0.01 seconds"
    assert served.world.events[-2:] == ["leave", "kill"]


async def test_results_that_nobody_takes_do_not_keep_it(serve: Serve) -> None:
    served = serve(patience=Patience(unattended=3600, kept=0.01))
    client = await served.client()
    await client.heard("state", ready=True)
    await begin(client, "a")
    await client.heard("started", id="a")
    await client.close()
    served.world.end()
    assert await served.why() == "nobody was there for 0.01 seconds"


async def test_the_end_of_the_pod(serve: Serve) -> None:
    served = serve(patience=Patience(linger=0.01))
    client = await served.client()
    await client.heard("state", ready=True)
    await begin(client, "a")
    await client.heard("started", id="a")
    served.world.worker.pod_ends()
    served.world.end(3)
    assert (await client.heard("ended", id="a"))["result"]["exit"]["code"] == 3
    assert await served.why() == "it was told to end"
    # The first process was told by itself, and says nothing of it any more.
    assert "stop" in served.world.events and "last" not in served.world.events


async def test_a_defect_ends_the_worker(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await served.client()
    await client.heard("state", ready=True)
    monkeypatch.setattr(served.world, "taken", None)
    await begin(client, "a")
    await client.heard("started", id="a")
    served.world.end()
    await client.heard("ended", id="a")
    assert "TypeError" in await served.why()
    assert served.world.worker.stuck
