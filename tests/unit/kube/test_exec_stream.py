"""Programs run through `exec`: refusals, broken connections, and servers that say what they should not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiohttp import web
from penstock_kube import exec_stream
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import (
    MAX_MESSAGE,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    ProgramFailedError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)
from penstock_kube.exec_stream import MESSAGE_BYTES, PROTOCOLS, STDERR_BYTES, ExecStream

from tools.sim_kube.faults import Fault
from tools.sim_kube.node import Latency
from tools.sim_kube.outcome import ANNOTATION
from tools.sim_kube.server import SimKube

Socket = web.WebSocketResponse[Any]
SUCCESS = b'\x03{"metadata":{},"status":"Success"}'
PODS = "/api/v1/namespaces/default/pods"


@asynccontextmanager
async def simulated(**options: Any) -> AsyncIterator[tuple[SimKube, KubeClient, list[tuple[str, str]]]]:
    """A simulated server on which Pod `a` runs, a client of it, and what the client observed of programs."""
    observed: list[tuple[str, str]] = []

    def observe(verb: str, code: str, seconds: float) -> None:
        if verb == "CONNECT":
            observed.append((verb, code))

    async with SimKube(latency=Latency(0.0, 0.0)) as server:
        cluster = dataclasses.replace(Cluster(server.url, None, dict, "default"), **options)
        async with KubeClient(cluster, deadline=5.0, observe=observe) as client:
            with anyio.fail_after(60):
                pod = {
                    "metadata": {"name": "a", "annotations": {ANNOTATION: '{"kind":"runs-forever"}'}},
                    "spec": {"containers": [{"name": "main", "image": "i"}]},
                }
                await client.create(PODS, pod)
                while (await client.get(f"{PODS}/a"))["status"]["phase"] != "Running":
                    pass
                yield server, client, observed


@asynccontextmanager
async def answered(
    talk: Callable[[Socket], Awaitable[None]], protocol: str = PROTOCOLS[0]
) -> AsyncIterator[ExecStream]:
    """A program at a server that says what `talk` does."""

    transports = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        transports.append(request.transport)
        socket: Socket = web.WebSocketResponse(protocols=(protocol,), max_msg_size=0)
        await socket.prepare(request)
        await talk(socket)
        return socket

    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with KubeClient(Cluster(f"http://127.0.0.1:{runner.addresses[0][1]}", None, dict, "default")) as client:
            with anyio.fail_after(60):
                async with client.exec("default", "a", "main", ["cat"]) as stream:
                    yield stream
    finally:
        for transport in transports:
            assert transport is not None
            transport.abort()
        await runner.cleanup()


def says(*messages: bytes) -> Callable[[Socket], Awaitable[None]]:
    async def talk(socket: Socket) -> None:
        for message in messages:
            await socket.send_bytes(message)
        await socket.close()

    return talk


async def heard(stream: ExecStream) -> list[bytes]:
    pieces = []
    while piece := await stream.receive():
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError), (403, ForbiddenError), (404, NotFoundError), (429, ThrottledError),
        (500, UnavailableError), (503, UnavailableError),
    ],
)  # fmt: skip
async def test_a_refusal_is_an_error_like_others(status: int, kind: type[KubeError]) -> None:
    async with simulated() as (server, client, observed):
        server.faults.add(Fault("status", status, path="/exec", message="the reason for it"))
        with pytest.raises(kind) as refused:
            async with client.exec("default", "a", "main", ["cat"]):
                pass
        assert (refused.value.status, refused.value.message) == (status, "the reason for it")
        assert observed == [("CONNECT", str(status))]


async def test_a_program_that_is_begun_is_observed() -> None:
    async with simulated() as (_, client, observed), client.exec("default", "a", "main", ["cat"]):
        assert observed == [("CONNECT", "101")]


async def test_a_server_that_does_not_answer() -> None:
    async with simulated() as (server, _, _):
        server.faults.add(Fault("hang", path="/exec"))
        async with KubeClient(Cluster(server.url, None, dict, "default"), deadline=0.1) as hasty:
            with pytest.raises(UnavailableError, match="no answer in time"):
                async with hasty.exec("default", "a", "main", ["cat"]):
                    pass


async def test_credentials_are_read_anew_once() -> None:
    async with simulated() as (server, client, observed):

        def fresh() -> Cluster:
            token = server.token
            return Cluster(server.url, None, lambda: {"Authorization": f"Bearer {token}"}, "default", reload=fresh)

        server.token = "one"
        with pytest.raises(UnauthorizedError):
            async with client.exec("default", "a", "main", ["cat"]):
                pass
        assert observed == [("CONNECT", "401")] * 2
        async with (
            KubeClient(Cluster(server.url, None, dict, "default", reload=fresh)) as rotating,
            rotating.exec("default", "a", "main", ["cat"]) as stream,
        ):
            await stream.send(b"known")
            assert await stream.receive() == b"known"


async def test_more_programs_than_calls_at_a_time() -> None:
    async with (
        simulated() as (server, _, _),
        KubeClient(Cluster(server.url, None, dict, "default"), deadline=5.0, connections=1) as narrow,
        narrow.exec("default", "a", "main", ["cat"]) as one,
        narrow.exec("default", "a", "main", ["cat"]) as other,
    ):
        for stream in (one, other):
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        await narrow.get(f"{PODS}/a")


async def test_a_connection_that_is_cut() -> None:
    async with simulated() as (server, client, _), client.exec("default", "a", "main", ["cat"]) as stream:
        await stream.send(b"here")
        assert await stream.receive() == b"here"
        server.execs.cut()
        with pytest.raises(UnavailableError):
            await stream.receive()
        with pytest.raises(UnavailableError):
            await stream.send(b"more")


async def test_what_the_body_raises_is_its_own() -> None:
    async with simulated() as (_, client, _):
        with pytest.raises(FileNotFoundError):
            async with client.exec("default", "a", "main", ["cat"]):
                raise FileNotFoundError("of the caller")


@pytest.mark.parametrize("name", ["a?b", "..", "", "a b", "a/"])
async def test_a_name_that_is_none_is_not_sent(name: str) -> None:
    async with simulated() as (server, client, _):
        with pytest.raises(InvalidError, match="it holds what no name of an object has"):
            async with client.exec("default", name, "main", ["cat"]):
                pass
        assert server.requests["CONNECT pods"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_both_subprotocols(protocol: str) -> None:
    async with answered(says(b"\x01", b"\x01one", b"\x02aside", b"\x01two", SUCCESS), protocol) as stream:
        assert await heard(stream) == [b"one", b"two"]


async def test_a_server_of_neither_subprotocol() -> None:
    with pytest.raises(UnavailableError, match="speaks none of"):
        async with answered(says(SUCCESS), "channel.k8s.io"):
            pass


async def test_what_comes_behind_the_end_of_the_program() -> None:
    async with answered(says(b"\x01one", SUCCESS, b"\x01late")) as stream:
        assert await heard(stream) == [b"one", b"late"]


async def test_a_server_that_does_not_close_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "_LAST_SECONDS", 0.05)

    async def talk(socket: Socket) -> None:
        await socket.send_bytes(SUCCESS)
        await asyncio.Event().wait()

    async with answered(talk) as stream:
        assert await heard(stream) == []


async def test_an_end_that_is_not_told_is_no_good_end() -> None:
    async with answered(says(b"\x01one", b"\x02last words")) as stream:
        with pytest.raises(UnavailableError, match=r"; stderr: last words$"):
            await heard(stream)


@pytest.mark.parametrize(
    "status",
    [b"nonsense", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"status":"Failure","details":{"causes":[7]}}'],
    ids=["text", "list", "empty", "bytes", "deep", "causes"],
)
async def test_an_end_that_nobody_understands_is_no_good_end(status: bytes) -> None:
    async with answered(says(b"\x03" + status)) as stream:
        with pytest.raises(UnavailableError):
            await heard(stream)


@pytest.mark.parametrize("code", ["", "-1", "x", "1" * 5000, "²"])
async def test_an_exit_code_that_is_none(code: str) -> None:
    cause = {"reason": "ExitCode", "message": code}
    status = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
    async with answered(says(b"\x03" + json.dumps(status).encode())) as stream:
        with pytest.raises(UnavailableError):
            await heard(stream)


async def test_only_the_last_of_stderr_is_kept() -> None:
    status = {
        "status": "Failure",
        "message": "m" * 10_000,
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }
    lines = [b"\x02" + str(number).encode() * 1000 + b"\n" for number in range(50)]
    async with answered(says(*lines, b"\x02the last line", b"\x03" + json.dumps(status).encode())) as stream:
        with pytest.raises(ProgramFailedError) as failed:
            await heard(stream)
        assert failed.value.exit_code == 3
        assert failed.value.message.endswith("the last line")
        assert len(failed.value.message) <= MAX_MESSAGE
        assert failed.value.message.partition("; stderr: ")[2].startswith("4949")
        assert len(stream._stderr) <= STDERR_BYTES


async def test_a_message_that_is_too_long() -> None:
    async with answered(says(b"\x01" * (MESSAGE_BYTES + 1), SUCCESS)) as stream:
        with pytest.raises(UnavailableError, match=r"\(1009\)"):
            await heard(stream)


async def test_a_message_that_is_text() -> None:
    async def talk(socket: Socket) -> None:
        await socket.send_str("\x01text")
        await socket.send_bytes(SUCCESS)
        await asyncio.Event().wait()

    async with answered(talk) as stream:
        with pytest.raises(UnavailableError):
            await heard(stream)


async def test_a_connection_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server reads nothing and answers no pings."""
    monkeypatch.setattr(exec_stream, "HEARTBEAT_SECONDS", 0.05)

    async def talk(socket: Socket) -> None:
        await asyncio.Event().wait()

    async with answered(talk) as stream:
        with pytest.raises(UnavailableError, match="No PONG received"):
            await stream.receive()


async def test_a_server_that_answers_pings_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "HEARTBEAT_SECONDS", 0.02)
    pings = 0

    async def talk(socket: Socket) -> None:
        nonlocal pings
        reader = asyncio.ensure_future(socket.receive())
        while pings < 3:
            await asyncio.wait((reader,), timeout=0.05)
            pings += 1
        await socket.send_bytes(SUCCESS)
        await socket.close()
        await reader

    async with answered(talk) as stream:
        assert await heard(stream) == []


async def test_a_server_that_reads_nothing_stops_who_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent waits, and is given up after a while; the connection with it."""
    monkeypatch.setattr(exec_stream, "STALL_SECONDS", 0.2)
    sent = 0

    async def talk(socket: Socket) -> None:
        await asyncio.Event().wait()

    async with answered(talk) as stream:
        with pytest.raises(UnavailableError, match="no answer in time"):
            while sent < 2**30:
                await stream.send(bytes(2**20))
                sent += 2**20
        # Buffers of the two systems' sockets, and little more.
        assert sent < 64 * 2**20
        with pytest.raises(UnavailableError):
            await stream.receive()
