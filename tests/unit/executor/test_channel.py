"""A channel to several servers calls one of them, and all calls move to the next one when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from penstock.tls_files import TlsFiles, TlsFilesError
from penstock_executor.channel import ServerChannel, addresses_of

from tests.support.certificates import Authority

METHOD = "/test.Service/Call"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a:1", ["a:1"]), (" a:1, b.c:22 ,", ["a:1", "b.c:22"]), ("[::1]:5", ["[::1]:5"])],
)
def test_addresses(text: str, wanted: list[str]) -> None:
    assert addresses_of(text) == wanted


@pytest.mark.parametrize("text", ["", " , ", "a", "a:", "a:b", "a:1,b"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|no address"):
        addresses_of(text)


class Server:
    """Answers with its name, unless it is told to hang or to refuse."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.hangs = asyncio.Event()
        self.refuses = False
        self.calls = 0

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.calls += 1
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "it stops")
        if request == b"wait" or self.hangs.is_set():
            await asyncio.sleep(3600)
        return self.name

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Call": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Server, Server, Any]]:
    first, second = Server(b"first"), Server(b"second")
    async with first.running() as one, second.running() as other:
        channel = ServerChannel(f"{one},{other}")
        try:
            yield first, second, channel.unary_unary(METHOD)
        finally:
            await channel.close()


async def refused(call: Any, request: bytes, timeout: float) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request, timeout=timeout)
    return caught.value.code()


async def test_one_is_asked_until_it_is_away() -> None:
    async with two() as (first, second, call):
        assert [await call(b"", timeout=5) for _ in range(3)] == [b"first"] * 3
        first.refuses = True
        assert await refused(call, b"", 5) is grpc.StatusCode.UNAVAILABLE
        assert [await call(b"", timeout=5) for _ in range(3)] == [b"second"] * 3
        second.refuses, first.refuses = True, False
        assert await refused(call, b"", 5) is grpc.StatusCode.UNAVAILABLE
        assert await call(b"", timeout=5) == b"first"


async def test_who_waits_for_one_that_does_not_answer_is_told_to_come_again() -> None:
    async with two() as (first, _, call):
        waiting = asyncio.create_task(refused(call, b"wait", 3600))
        while not first.calls:
            await asyncio.sleep(0.01)
        first.hangs.set()
        assert await refused(call, b"", 0.1) is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await waiting is grpc.StatusCode.UNAVAILABLE
        assert await call(b"", timeout=5) == b"second"


async def test_a_caller_that_is_cancelled_is_cancelled() -> None:
    async with two() as (first, _, call):
        waiting = asyncio.create_task(call(b"wait", timeout=3600))
        while not first.calls:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await call(b"", timeout=5) == b"first"


async def test_the_only_one_stays_the_one_that_is_asked() -> None:
    only = Server(b"only")
    async with only.running() as address:
        channel = ServerChannel(address)
        call = channel.unary_unary(METHOD)
        only.refuses = True
        assert await refused(call, b"", 5) is grpc.StatusCode.UNAVAILABLE
        only.refuses = False
        assert await call(b"", timeout=5) == b"only"
        await channel.close()


class NamingServer:
    """Answers with the name in the caller's certificate; to `wait` when `release` is set."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.release = asyncio.Event()
        self.waits = asyncio.Event()

    async def answer(self, request: bytes, context: Any) -> bytes:
        if request == b"wait":
            self.waits.set()
            await self.release.wait()
        return bytes(context.auth_context()["x509_common_name"][0])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Call": handler}),))
        certificate, key = self._authority.issue("server")
        credentials = grpc.ssl_server_credentials([(key, certificate)], self._authority.certificate, True)
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        try:
            yield f"localhost:{port}"
        finally:
            await server.stop(None)


def client_files(directory: Path, authority: Authority, name: str) -> TlsFiles:
    certificate, key = authority.issue(name)
    paths = directory / "tls.crt", directory / "tls.key", directory / "ca.crt"
    for path, content in zip(paths, (certificate, key, authority.certificate), strict=True):
        path.write_bytes(content)
    return TlsFiles(*paths, ("--tls-cert", "--tls-key", "--tls-ca"))


async def test_other_certificates_are_for_new_calls_and_end_none(tmp_path: Path) -> None:
    authority = Authority()
    server = NamingServer(authority)
    async with server.running() as address:
        channel = ServerChannel(address, client_files(tmp_path, authority, "one"), interval=0)
        call = channel.unary_unary(METHOD)
        assert await call(b"", timeout=10) == b"one"
        waiting = asyncio.ensure_future(call(b"wait", timeout=60))
        await server.waits.wait()
        client_files(tmp_path, authority, "two")
        assert await call(b"", timeout=10) == b"two"
        (tmp_path / "tls.crt").write_text("-----BEGIN CERTIFICATE-----")
        assert await call(b"", timeout=10) == b"two"
        server.release.set()
        assert await waiting == b"one"
        assert not channel._retired
        await channel.close()


async def test_calls_that_wait_on_old_connections_end_with_the_channel(tmp_path: Path) -> None:
    authority = Authority()
    server = NamingServer(authority)
    async with server.running() as address:
        channel = ServerChannel(address, client_files(tmp_path, authority, "one"), interval=0)
        call = channel.unary_unary(METHOD)
        waiting = asyncio.ensure_future(call(b"wait", timeout=60))
        await server.waits.wait()
        client_files(tmp_path, authority, "two")
        assert await call(b"", timeout=10) == b"two"
        await channel.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_files_that_cannot_be_used_are_refused_at_once(tmp_path: Path) -> None:
    files = client_files(tmp_path, Authority(), "one")
    (tmp_path / "ca.crt").write_text("")
    with pytest.raises(TlsFilesError, match=r"--tls-ca: .*ca.crt"):
        ServerChannel("localhost:1", files)
