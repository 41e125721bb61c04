"""Many follow logs of one server, over gRPC, gRPC-Web and HTTP: all get every byte once, and hold no thread."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from penstock.client import Client
from penstock_api.v1 import insight_pb2, insight_pb2_grpc

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

TASKS = ("one", "two", "three")
# What each task waits for, a file, after so many lines.
GATES = ("gate-500", "gate-1500", "gate-2500")
FOLLOWERS = 300
OPENED_AT_ONCE = 10
# Those that look, those that send, and those that open streams at the same time, over all ways.
THREADS = 16 + 4 + 3 * OPENED_AT_ONCE
_FRAME = struct.Struct(">BI")
_READ_LOG = "/penstock.v1.InsightService/ReadLog"
# What it writes comes in pieces of any length, some of it no text, and the last without a line end.
_WRITES = """
import os, pathlib, sys, time
gate = pathlib.Path(sys.argv[1])
for number in range(3000):
    os.write(1, b"%s %d \\xff\\xe2\\x82\\n" % (sys.argv[2].encode(), number) * (number % 7 + 1))
    if number % 1000 == 500:
        while not gate.with_name(f"gate-{number}").exists():
            time.sleep(0.05)
os.write(1, b"the end")
"""


@dataclass
class Follower:
    """What one has got, and whether the stream has ended as it should."""

    task: str
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    got: bytearray = field(default_factory=bytearray)

    def gets(self, data: bytes) -> None:
        self.got += data
        self.begun.set()


@pytest.fixture
def wide(tmp_path: Path, environments: Path) -> Iterator[Embedded]:
    with Embedded(tmp_path / "data", "--parallelism", "4", environments=environments) as embedded:
        yield embedded


def written(task: str) -> bytes:
    return b"".join(b"%s %d \xff\xe2\x82\n" % (task.encode(), n) * (n % 7 + 1) for n in range(3000)) + b"the end"


def pipeline(gate: Path) -> dict[str, object]:
    commands = {task: [sys.executable, "-c", _WRITES, str(gate), task] for task in TASKS}
    spec = specs.chain(commands)
    for task in spec["root"]["dag"]["tasks"].values():
        task.pop("dependentTasks", None)
    return spec


@dataclass
class Ways:
    """The three ways to follow a log of a run."""

    address: str
    run_id: str
    session: aiohttp.ClientSession
    stub: insight_pb2_grpc.InsightServiceAsyncStub

    def request(self, task: str) -> insight_pb2.ReadLogRequest:
        return insight_pb2.ReadLogRequest(run_id=self.run_id, node_id=task, follow=True)

    async def over_http(self, follower: Follower) -> None:
        url = f"{self.address}/apis/v2beta1/runs/{self.run_id}/nodes/{follower.task}/log?follow=true"
        async with self.session.get(url) as reply:
            assert reply.status == 200
            async for piece in reply.content.iter_any():
                follower.gets(piece)

    async def over_grpc(self, follower: Follower) -> None:
        async for chunk in self.stub.ReadLog(self.request(follower.task)):
            follower.gets(chunk.data)

    async def over_grpc_web(self, follower: Follower) -> None:
        message = self.request(follower.task).SerializeToString()
        headers = {"Content-Type": "application/grpc-web+proto"}
        body = _FRAME.pack(0, len(message)) + message
        async with self.session.post(self.address + _READ_LOG, data=body, headers=headers) as reply:
            while True:
                flags, length = _FRAME.unpack(await reply.content.readexactly(_FRAME.size))
                content = await reply.content.readexactly(length)
                if flags:
                    assert content.startswith(b"grpc-status:0\r\n")
                    return
                follower.gets(insight_pb2.Chunk.FromString(content).data)


async def follow_all(up: Embedded, run_id: str, gate: Path, threads: Callable[[], int]) -> tuple[list[Follower], int]:
    """Those who followed, when all logs have ended; how many threads the server had with all of them."""
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(up.grpc))
        ways = Ways(up.http, run_id, session, insight_pb2_grpc.InsightServiceStub(channel))
        each: list[Callable[[Follower], Awaitable[None]]] = [ways.over_http, ways.over_grpc, ways.over_grpc_web]
        followers = [Follower(TASKS[number // 3 % 3]) for number in range(FOLLOWERS)]
        streams: list[asyncio.Future[None]] = []
        for start in range(0, FOLLOWERS, OPENED_AT_ONCE):
            opened = followers[start : start + OPENED_AT_ONCE]
            streams += [asyncio.ensure_future(each[number % 3](one)) for number, one in enumerate(opened, start)]
            await asyncio.wait_for(asyncio.gather(*(one.begun.wait() for one in opened)), 60)
            if start in (FOLLOWERS // 3, FOLLOWERS * 2 // 3):
                gate.with_name(GATES[start * 3 // FOLLOWERS - 1]).touch()
        with_all = threads()
        gate.with_name(GATES[2]).touch()
        await asyncio.wait_for(asyncio.gather(*streams), 120)
        return followers, with_all


def test_all_who_follow_get_every_byte_and_hold_no_thread(wide: Embedded, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    server = wide.child("penstock_server")
    with Client(wide.grpc) as client:
        run_id = runs.start(client, pipeline(gate))
        runs.until(
            lambda: [runs.log(client, run_id, task) for task in TASKS],
            lambda logs: all(b" 500 " in log for log in logs),
        )
        before = server.num_threads()
        followers, with_all = asyncio.run(follow_all(wide, run_id, gate, server.num_threads))
        assert runs.finished(client, run_id)
        for task in TASKS:
            whole = written(task)
            assert runs.log(client, run_id, task) == whole
            assert {bytes(one.got) == whole for one in followers if one.task == task} == {True}
    assert with_all - before <= THREADS
    runs.until(lambda: http.under_way(wide.http, "ReadLog"), lambda number: number == 0)


def test_a_log_over_grpc_web_ends_with_the_deadline_that_its_caller_asks_for(up: Embedded, tmp_path: Path) -> None:
    with Client(up.grpc) as client:
        command = f"echo said; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
        run_id = runs.start(client, specs.container(["sh", "-c", command]))
        runs.until(lambda: runs.log(client, run_id, "only"), lambda log: log == b"said\n")
        message = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only", follow=True).SerializeToString()
        reply = http.call(
            "POST",
            up.http + _READ_LOG,
            data=_FRAME.pack(0, len(message)) + message,
            content_type="application/grpc-web+proto",
            headers={"Grpc-Timeout": "500m"},
        )
        assert b"said\n" in reply.body
        assert b"grpc-status:4\r\n" in reply.body
        (tmp_path / "go").touch()
        runs.finished(client, run_id)


def test_a_server_that_stops_ends_what_is_followed(wide: Embedded, tmp_path: Path) -> None:
    with Client(wide.grpc) as client, ExitStack() as stack:
        # Tasks survive their server.
        for name in GATES:
            stack.callback((tmp_path / name).touch)
        run_id = runs.start(client, pipeline(tmp_path / "gate"))
        runs.until(lambda: runs.log(client, run_id, "one"), lambda log: b" 500 " in log)
        request = insight_pb2.ReadLogRequest(run_id=run_id, node_id="one", follow=True)
        stream = client.insight.ReadLog(request, timeout=100)
        assert next(iter(stream)).data
        wide.child("penstock_server").terminate()
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        error: grpc.Call = ended.value  # type: ignore[assignment]
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server is stopping" in str(error.details())
