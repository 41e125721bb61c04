"""What a warm worker's agent says to whom, and what remains when something of the worker is gone (docs/workers.md).

Real processes, as in test_warm_worker.py.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from penstock_executor.agent.worker import LINE_BYTES

from tests.support.warm_worker import AgentClient, WorkerPod, connected, warm_worker
from tools.testing import wrapper


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture
async def pod(place: Path) -> AsyncIterator[WorkerPod]:
    async with warm_worker(place, wrapper.WORKER) as pod:
        yield pod


@pytest.fixture
async def other(pod: WorkerPod) -> AsyncIterator[AgentClient]:
    """Another connection to the agent."""
    client = await connected(pod.socket)
    yield client
    await client.close()


def begun(pod: WorkerPod) -> Any:
    """What the agent's termination message says."""
    return json.loads(pod.agent_message.read_text())["begun"]


async def said(pod: WorkerPod, text: str) -> None:
    while text not in pod.said():
        await asyncio.sleep(0.01)


async def ended(pod: WorkerPod) -> tuple[int, int]:
    """The exit codes of the worker's first process and of its agent, which end by themselves."""
    assert pod.main is not None and pod.agent is not None
    agent = await asyncio.to_thread(pod.agent.wait, 60)
    return await asyncio.to_thread(pod.main.wait, 60), agent


async def test_one_connection_holds_the_worker(pod: WorkerPod, other: AgentClient) -> None:
    await pod.heard("state", ready=True, held=False)
    for _ in range(2):
        await pod.send(op="hold", holder="one")
        await pod.heard("held")
    await other.send(op="hold", holder="two")
    assert (await other.heard("refused", op="hold"))["why"] == "one holds the worker"
    await other.send(op="run", id="a", run_id="run", fence=1)
    assert (await other.heard("refused", id="a"))["why"] == "one holds the worker"
    await other.send(op="retire")
    await other.heard("refused", op="retire")
    await pod.begin("b", "echo held")
    await pod.heard("started", id="b")
    assert (await pod.result("b")).log_stored
    # Of the former connection's end nobody may have heard yet.
    await other.send(op="hold", holder="one")
    await other.heard("held")
    await pod.send(op="run", id="c", run_id="run", fence=1)
    assert (await pod.heard("refused", id="c"))["why"] == "one holds the worker"
    await pod.heard("state", ready=True, held=True)
    await pod.client.close()
    await other.heard("state", held=False)
    await other.send(op="hold", holder="two")
    await other.heard("held")


async def test_a_fence_tells_what_was_begun_and_keeps_former_holders_out(pod: WorkerPod, other: AgentClient) -> None:
    await pod.run("a", "exit 0")
    await pod.run("b", "exit 0")
    await pod.send(op="forget", id="a", run_id="run", fence=1)
    await pod.heard("forgotten", id="a")
    await pod.heard("state", ready=True)
    await pod.begin("c", "echo begun; sleep 1000")
    await pod.heard("started", id="c")
    await other.send(op="fence", run_id="run", fence=7)
    attempts = (await other.heard("fenced"))["attempts"]
    seconds = [one.pop("seconds") for one in attempts]
    assert seconds == sorted(seconds, reverse=True) and 0 <= seconds[-1] < seconds[0] < 60
    assert attempts == [
        {"id": "a", "number": 1, "running": False, "forgotten": True, "log_token": "loga"},
        {"id": "b", "number": 2, "running": False, "forgotten": False, "log_token": "logb"},
        {"id": "c", "number": 3, "running": True, "forgotten": False, "log_token": "logc"},
    ]
    await other.send(op="fence", run_id="another", fence=0)
    assert (await other.heard("fenced", run_id="another"))["attempts"] == []
    for op in ("fence", "run", "watch", "cancel", "forget"):
        await pod.send(op=op, id="b", run_id="run", fence=6)
        assert "another executor" in (await pod.heard("refused", op=op))["why"]
    await other.send(op="watch", id="b", run_id="another", fence=0)
    assert "another run" in (await other.heard("refused", op="watch"))["why"]
    await other.send(op="watch", id="b", run_id="run", fence=7)
    await other.heard("known", id="b", running=False, forgotten=False)
    await other.heard("ended", id="b")
    await other.send(op="watch", id="a", run_id="run", fence=7)
    await other.heard("known", id="a", forgotten=True)
    assert "forgotten" in (await other.heard("ended", id="a"))["result"]["failure"][1]


async def test_an_end_is_told_once_to_those_who_follow(pod: WorkerPod, other: AgentClient) -> None:
    await pod.heard("state", ready=True)
    await pod.begin("a", f"while ! test -e {pod.directory}/go; do sleep 0.02; done")
    await pod.heard("started", id="a")
    await pod.connect()
    for _ in range(2):
        await pod.send(op="watch", id="a", run_id="run", fence=1)
        await pod.heard("known", id="a", running=True)
    (pod.directory / "go").touch()
    await other.heard("state", running="", attempts=1, ready=True)
    assert await pod.client.count("ended", id="a") == 1
    assert await other.count("ended") == 0
    await other.send(op="watch", id="a", run_id="run", fence=1)
    await other.heard("ended", id="a")


WRONG = {
    "no JSON": b"{",
    "no object": b"[]",
    "nothing": b"{}",
    "no such request": b'{"op": "begin"}',
    "a deep one": b"[" * 1_000_000,
    "a long one": b" " * (LINE_BYTES + 1),
    "no text": b"\xff\xff",
    "nobody who holds": b'{"op": "hold", "holder": ""}',
    "no fence": b'{"op": "fence", "run_id": "run", "fence": true}',
    "a fence below all": b'{"op": "fence", "run_id": "run", "fence": -1}',
    "no run": b'{"op": "fence", "run_id": "", "fence": 1}',
    "no attempt": b'{"op": "run", "id": "a b", "run_id": "run", "fence": 1}',
    "a long name": b'{"op": "watch", "id": "%s", "run_id": "run", "fence": 1}' % (b"x" * 61),
}


async def test_what_is_no_request_hangs_up_on_who_said_it(pod: WorkerPod) -> None:
    for text in WRONG.values():
        wrong = await connected(pod.socket)
        await wrong.write(text + b"\n")
        await wrong.hung_up()
        await wrong.close()
        assert await pod.client.count("refused") == 0, text
    assert (await pod.run("a", "exit 0")).log_stored


async def test_a_result_longer_than_a_message_comes_through_the_relay(pod: WorkerPod) -> None:
    """By which an executor is connected."""
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock_executor.agent", "relay", "--socket", str(pod.socket),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**27,
    )  # fmt: skip
    assert relay.stdin is not None and relay.stdout is not None
    through = AgentClient(relay.stdout, relay.stdin)
    result = await pod.run("a", "head -c 10000000 /dev/zero | tr '\\0' '\\1' > \"$OUT\"")
    assert result.parameters == {"out": "\1" * 10_000_000}
    await through.send(op="watch", id="a", run_id="run", fence=1)
    told = await through.heard("ended", id="a")
    assert len(json.dumps(told)) > LINE_BYTES and told["result"]["parameters"] == result.parameters
    relay.stdin.close()
    assert await asyncio.wait_for(relay.wait(), 60) == 0


async def test_an_agent_that_is_killed_leaves_what_was_begun(pod: WorkerPod) -> None:
    await pod.run("a", "exit 0")
    assert begun(pod) == ["a"]
    await pod.run("b", "exit 0")
    assert begun(pod) == ["a", "b"]
    await pod.send(op="forget", id="a", run_id="run", fence=1)
    await pod.heard("forgotten", id="a")
    assert begun(pod) == ["b"]
    await pod.heard("state", ready=True)
    # Before its program can begin: it sees itself.
    await pod.begin("c", f"cat {pod.agent_message}; sleep 1000")
    await said(pod, '{"begun":["b","c"]}')
    assert pod.agent is not None
    below = psutil.Process(pod.agent.pid).children(recursive=True)
    pod.agent.kill()
    pod.agent.wait()
    for process in below:
        process.kill()
    assert begun(pod) == ["b", "c"]


async def test_no_attempt_begins_without_the_message(pod: WorkerPod) -> None:
    await pod.heard("state", ready=True)
    pod.agent_message.unlink()
    pod.agent_message.mkdir()
    await pod.begin("a", "echo begun")
    assert "termination message" in (await pod.heard("refused", id="a"))["why"]
    main, agent = await ended(pod)
    assert (main, agent != 0) == (0, True)
    assert "begun" not in pod.said()


async def test_no_more_results_are_kept_than_a_message_names(pod: WorkerPod) -> None:
    for number in range(64):
        await pod.run(f"attempt{number}", "exit 0")
    await pod.heard("state", ready=True)
    assert len(begun(pod)) == 64
    await pod.begin("a", "exit 0")
    assert (await pod.heard("refused", id="a"))["why"] == "the results of 64 attempts were not taken yet"
    await pod.send(op="forget", id="attempt0", run_id="run", fence=1)
    await pod.begin("a", "exit 0")
    await pod.heard("started", id="a", number=65)


async def test_a_worker_that_nobody_wants_ends(place: Path) -> None:
    async with warm_worker(place, wrapper.WORKER, "--unattended", "2") as pod:
        await pod.run("a", "exit 0")
        await pod.send(op="forget", id="a", run_id="run", fence=1)
        await pod.heard("forgotten", id="a")
        await pod.client.close()
        assert await ended(pod) == (0, 0)


async def test_a_worker_that_is_ready_is_told_to_end(pod: WorkerPod) -> None:
    await pod.heard("state", ready=True)
    await pod.send(op="retire")
    await pod.heard("retiring")
    assert await ended(pod) == (0, 0)


async def test_results_do_not_keep_a_pod_that_ends(place: Path) -> None:
    async with warm_worker(place, wrapper.WORKER, "--linger", "0.1") as pod:
        await pod.run("a", "exit 0")
        await pod.heard("state", ready=True)
        assert pod.agent is not None
        pod.terminate()
        pod.agent.terminate()
        assert await ended(pod) == (0, 0)


async def test_a_wrapper_that_is_killed(pod: WorkerPod) -> None:
    """The log and its end are there all the same, and the worker is as good as before."""
    # What the wrapper has not read yet is lost with it.
    written = f"seq 30; until grep -q 30 {pod.task('a').log}; do sleep 0.05; done"
    result = await pod.run("a", f"{written}; kill -9 $PPID; sleep 1000")
    assert (result.exit, result.log_stored, result.failure) == (None, True, None)
    assert result.tail == "\n".join(str(number) for number in range(11, 31))
    assert pod.log("a").split()[-1] == "30"
    assert (await pod.run("b", "exit 0")).log_stored


async def test_the_end_of_the_log_is_told_of_what_failed(pod: WorkerPod) -> None:
    failed = await pod.run("a", "echo first; echo why >&2; exit 3")
    assert failed.tail == "first\nwhy"
    assert (await pod.run("b", "echo well")).tail == ""


async def test_a_wrapper_that_cannot_be_started(pod: WorkerPod) -> None:
    """Each argument is short enough, all of them are not: the worker says when such an attempt has ended."""
    variables = {f"V{number}": "x" * 120_000 for number in range(60)}
    result = await pod.run("a", "exit 0", **variables)
    assert result.exit is None and result.failure is not None and "not started" in result.failure[1]
    assert (await pod.run("b", "exit 0")).log_stored
