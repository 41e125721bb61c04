"""A client that goes away before it was answered is its own affair: it is no fault in the server's log."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from concurrent.futures import Future
from typing import Any

import pytest
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc.server import public_services, web_methods

METHOD = "/penstock.v1.WatchService/WatchRun"
NOTHING_LINGERS = struct.pack("ii", 1, 0)
REQUEST = (
    f"POST {METHOD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n"
).encode() + bytes(5)


class Endless:
    """A server whose every stream goes on for as long as it is read."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Any, credentials: Any
    ) -> tuple[Future[Any], Any]:
        raise AssertionError(method)

    def stream(self, method: str, message: Any, timeout: float | None, metadata: Any, credentials: Any) -> Any:
        return self

    def next(self) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(b"changed")
        return future

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(self.left.set)


async def test_a_stream_that_is_left(caplog: pytest.LogCaptureFixture) -> None:
    server = Endless()
    settings = GatewaySettings(services=public_services(), web_methods=web_methods())
    gateway = GatewayServer([Site(create_app(server, settings), "127.0.0.1", 0)])
    port = gateway.start()[0]
    with caplog.at_level(logging.INFO):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(REQUEST)
            await asyncio.to_thread(client.recv, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOTHING_LINGERS)
        await asyncio.wait_for(server.left.wait(), 30)
        await asyncio.to_thread(gateway.stop, 5)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert any("status=499" in record.getMessage() for record in caplog.records)
