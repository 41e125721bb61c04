"""Simulated warm workers: attempts over `exec`, and what becomes of the Pod (docs/workers.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest
from penstock_executor.agent.protocol import AgentTask, AttemptResult, ProcessExit
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import KubeError, UnavailableError
from penstock_kube.exec_stream import ExecStream

from tools.sim_kube.faults import Fault
from tools.sim_kube.node import Latency
from tools.sim_kube.outcome import ANNOTATION, Outcome
from tools.sim_kube.server import SimKube

PODS = "/api/v1/namespaces/default/pods"
RELAY = ["python", "-m", "penstock_executor.agent", "relay"]
FOREVER = {"kind": "runs-forever"}


class Agent:
    """One connection to the agent of a worker."""

    def __init__(self, stream: ExecStream) -> None:
        self.stream = stream
        self._incomplete = b""
        self._said: list[dict[str, Any]] = []

    async def ask(self, **message: Any) -> None:
        await self.stream.send(json.dumps(message).encode() + b"\n")

    async def heard(self, event: str, **wanted: Any) -> dict[str, Any]:
        """The next message of that kind; others are kept for later."""
        while True:
            for said in self._said:
                if said["event"] == event and all(said.get(key) == value for key, value in wanted.items()):
                    self._said.remove(said)
                    return said
            piece = await self.stream.receive()
            assert piece, "the agent has gone"
            *lines, self._incomplete = (self._incomplete + piece).split(b"\n")
            self._said += map(json.loads, lines)
            refused = [said for said in self._said if said["event"] == "refused"]
            assert event == "refused" or not refused, refused

    async def begin(self, name: str, outcome: dict[str, Any] | None = None, **task: Any) -> None:
        await self.heard("state", ready=True)
        await self.ask(
            op="run", id=name, run_id="r", fence=1, arguments=["true"], log_token=f"log{name}",
            task=json.loads(AgentTask("file:///root", **task).to_json()),
            variables={} if outcome is None else {"SIM_OUTCOME": json.dumps(outcome)},
        )  # fmt: skip
        await self.heard("started", id=name)

    async def result(self, name: str) -> AttemptResult:
        return AttemptResult.from_document((await self.heard("ended", id=name))["result"])

    async def forget(self, name: str) -> None:
        await self.ask(op="forget", id=name, run_id="r", fence=1)
        await self.heard("forgotten", id=name)


class Bench:
    def __init__(self, kube: SimKube, client: KubeClient) -> None:
        self.kube = kube
        self.client = client

    async def worker(self, outcome: dict[str, Any] | None = None, **spec: Any) -> None:
        """A Pod `w` that runs."""
        annotations = {ANNOTATION: json.dumps(outcome)} if outcome else {}
        main = {"name": "main", "image": "i", "command": ["/penstock/bin/worker", "--share", "/penstock/share"]}
        agent = {"name": "agent", "image": "a", "command": ["python", "-m", "penstock_executor.agent", "work"]}
        pod = {
            "metadata": {"name": "w", "annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [main, agent], **spec},
        }
        await self.client.create(PODS, pod)
        await self.until(lambda pod: pod["status"]["phase"] != "Pending")

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        async with self.client.exec("default", "w", "agent", RELAY) as stream:
            yield Agent(stream)

    async def until(self, holds: Any) -> dict[str, Any]:
        """The Pod as soon as that is so; as it was last when it is gone."""
        async with aclosing(self.client.watch(PODS, resource_version="0", field_selector="metadata.name=w")) as watch:
            async for event in watch:
                if event["type"] == "DELETED" or ("spec" in event["object"] and holds(event["object"])):
                    return dict(event["object"])
        raise AssertionError("the watch ended")

    async def ended(self) -> dict[str, dict[str, Any]]:
        """How the containers ended."""
        pod = await self.until(lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))
        return {one["name"]: one["state"]["terminated"] for one in pod["status"]["containerStatuses"]}

    async def log(self) -> str:
        async with aclosing(self.client.log("default", "w", "main")) as log:
            return b"".join([piece async for piece in log]).decode()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    usual = Outcome(messages={"main": AttemptResult(ProcessExit(0), parameters={"out": "usual"}).to_json()})
    async with (
        SimKube(latency=Latency(0.0, 0.0), decide=lambda _: usual) as kube,
        KubeClient(Cluster(kube.url, None, dict, "default"), deadline=5.0) as client,
    ):
        with anyio.fail_after(60):
            yield Bench(kube, client)


def codes(ended: dict[str, dict[str, Any]]) -> dict[str, tuple[int, str]]:
    return {name: (one["exitCode"], one["reason"]) for name, one in ended.items()}


async def test_attempts_one_after_another(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        for number in range(50):
            await agent.begin(f"a{number}")
            result = await agent.result(f"a{number}")
            assert result.exit is not None and result.exit.code == 0
            assert 0 < result.exit.started_at <= result.exit.finished_at
            assert (result.parameters, result.log_stored, result.failure) == ({"out": "usual"}, True, None)
            await agent.forget(f"a{number}")
    assert (await bench.client.get(f"{PODS}/w"))["status"]["phase"] == "Running"
    assert bench.kube.stats()["pods_created"] == 1


async def test_the_outcome_of_an_attempt(bench: Bench) -> None:
    await bench.worker()
    left = AttemptResult(ProcessExit(0), parameters={"out": "text"}).to_json()
    async with bench.agent() as agent:
        await agent.begin("good", {"messages": {"main": left}})
        assert (await agent.result("good")).parameters == {"out": "text"}
        await agent.begin("bad", {"exit_code": 3, "log": "one\ntwo\n", "messages": {"main": left}}, tail=True)
        result = await agent.result("bad")
        assert result.exit is not None and result.exit.code == 3
        assert (result.parameters, result.tail) == ({}, "one\ntwo\n")
        await agent.begin("long", {"seconds": 0.05})
        long = await agent.result("long")
        assert long.exit is not None and long.exit.finished_at - long.exit.started_at >= 49
        await agent.heard("state", ready=True)
        await agent.ask(
            op="run", id="none", run_id="r", fence=1, arguments=[], log_token="log",
            task=json.loads(AgentTask("file:///root").to_json()), variables={"SIM_OUTCOME": '{"no":"such"}'},
        )  # fmt: skip
        assert "no" in (await agent.heard("refused", id="none"))["why"]


async def test_the_log_of_the_container(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        async with aclosing(bench.client.log("default", "w", "main", follow=True)) as log:
            await agent.begin("a", {"log": "no line's end"})
            await agent.result("a")
            wanted = "::penstock-attempt loga begin\nno line's end\n::penstock-attempt loga end\n"
            followed = b""
            while len(followed) < len(wanted):
                followed += await anext(log)
        await agent.begin("b", {"log": "more\n"})
        await agent.result("b")
    assert followed.decode() == wanted
    assert await bench.log() == f"{wanted}::penstock-attempt logb begin\nmore\n::penstock-attempt logb end\n"


@pytest.mark.parametrize(("at_once", "signal"), [(False, 15), (True, 9)])
async def test_an_attempt_that_is_canceled(bench: Bench, at_once: bool, signal: int) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", FOREVER)
        await agent.ask(op="cancel", id="a", run_id="r", fence=1, at_once=at_once)
        result = await agent.result("a")
        assert result.exit is not None and (result.exit.code, result.exit.signal) == (128 + signal, signal)
        await agent.begin("b")
        assert (await agent.result("b")).exit is not None


async def test_a_worker_that_is_told_to_end(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        await agent.ask(op="retire")
        await agent.heard("retiring")
        assert await agent.stream.receive() != b""
        while await agent.stream.receive():
            pass
    assert codes(await bench.ended()) == {"main": (0, "Completed"), "agent": (0, "Completed")}
    with pytest.raises(UnavailableError, match="container not found"):
        async with bench.agent() as agent:
            await agent.stream.receive()


async def test_a_pod_that_is_deleted(bench: Bench) -> None:
    """The attempt ends, its result can be taken, then the Pod goes; what began is in the agent's message."""
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", FOREVER)
        watching = asyncio.ensure_future(bench.ended())
        await bench.client.delete(f"{PODS}/w", grace_seconds=30)
        result = await agent.result("a")
        assert result.exit is not None and result.exit.signal == 15
        assert (await bench.client.get(f"{PODS}/w"))["status"]["phase"] == "Running"
        await agent.forget("a")
    ended = await watching
    assert codes(ended) == {"main": (0, "Completed"), "agent": (0, "Completed")}
    assert json.loads(ended["agent"]["message"]) == {"begun": []}
    assert (await bench.client.get(PODS))["items"] == []


async def test_a_result_that_nobody_takes_in_time(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", FOREVER)
        watching = asyncio.ensure_future(bench.ended())
        await bench.client.delete(f"{PODS}/w", grace_seconds=1)
        with pytest.raises(KubeError):
            while True:
                await agent.stream.receive()
    ended = await watching
    assert codes(ended)["agent"] == (137, "Error")
    assert json.loads(ended["agent"]["message"]) == {"begun": ["a"]}


async def test_an_attempt_that_takes_too_much_memory(bench: Bench) -> None:
    """The container's end is the attempt's; the agent stays until its result was taken."""
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", {"kind": "oom"})
        result = await agent.result("a")
        assert result.exit is None
        pod = await bench.client.get(f"{PODS}/w")
        states = {one["name"]: one["state"] for one in pod["status"]["containerStatuses"]}
        assert pod["status"]["phase"] == "Running"
        assert (states["main"]["terminated"]["reason"], list(states["agent"])) == ("OOMKilled", ["running"])
        await agent.heard("state", ready=False)
        await agent.forget("a")
    assert codes(await bench.ended()) == {"main": (137, "OOMKilled"), "agent": (70, "Error")}


@pytest.mark.parametrize("kind", ["evicted", "preempted", "taken-back", "deadline"])
async def test_an_attempt_with_which_the_pod_ends(bench: Bench, kind: str) -> None:
    await bench.worker()
    watching = asyncio.ensure_future(bench.ended())
    async with bench.agent() as agent:
        await agent.begin("a", {"kind": kind})
        with pytest.raises(KubeError):
            while True:
                await agent.stream.receive()
    ended = await watching
    assert codes(ended)["main"][0] == 137
    assert json.loads(ended["agent"]["message"]) == {"begun": ["a"]}


async def test_a_node_that_is_lost(bench: Bench) -> None:
    """Connections stay open and nothing passes any more; no other is to be had."""
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", {"kind": "node-lost"})
        await bench.until(lambda pod: pod["status"].get("reason") == "NodeLost")
        await agent.ask(op="ping")
        with anyio.move_on_after(0.2) as waited:
            await agent.heard("pong")
        assert waited.cancelled_caught
    with pytest.raises(UnavailableError, match="error dialing backend"):
        async with bench.agent() as agent:
            await agent.stream.receive()
    await bench.client.delete(f"{PODS}/w", grace_seconds=0)
    assert (await bench.client.get(PODS))["items"] == []


async def test_a_pod_with_an_outcome_of_its_own(bench: Bench) -> None:
    """What becomes of the Pod while no attempt runs."""
    await bench.worker({"kind": "evicted", "seconds": 0.0})
    pod = await bench.until(lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "Evicted"


async def test_a_pod_with_a_deadline(bench: Bench) -> None:
    await bench.worker(activeDeadlineSeconds=1)
    pod = await bench.until(lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


async def test_connections_break_and_attempts_go_on(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a", {"seconds": 0.1})
        bench.kube.execs.cut()
        with pytest.raises(UnavailableError):
            while True:
                await agent.stream.receive()
    bench.kube.faults.add(Fault("status", 500, path="/exec", times=1))
    with pytest.raises(UnavailableError):
        async with bench.agent():
            pass
    async with bench.agent() as agent:
        await agent.ask(op="watch", id="a", run_id="r", fence=1)
        await agent.heard("known", id="a")
        assert (await agent.result("a")).exit is not None


async def test_one_connection_holds_a_worker(bench: Bench) -> None:
    """The protocol is the agent's own."""
    await bench.worker()
    async with bench.agent() as one, bench.agent() as other:
        await one.ask(op="hold", holder="one")
        await one.heard("held")
        await other.ask(op="hold", holder="other")
        assert "one holds" in (await other.heard("refused"))["why"]


async def test_what_is_no_relay_is_not_begun(bench: Bench) -> None:
    await bench.worker()
    for container, command in (("main", RELAY), ("agent", ["sh"])):
        async with bench.client.exec("default", "w", container, command) as stream:
            with pytest.raises(KubeError):
                await stream.receive()


async def test_a_server_that_restarts_cuts_connections_and_keeps_workers(bench: Bench) -> None:
    await bench.worker()
    async with bench.agent() as agent:
        await agent.begin("a")
        await bench.kube.stop()
        with pytest.raises(UnavailableError):
            while True:
                await agent.stream.receive()
    await bench.kube.start()
    async with bench.agent() as agent:
        await agent.ask(op="watch", id="a", run_id="r", fence=1)
        assert (await agent.result("a")).exit is not None
