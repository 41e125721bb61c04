"""A program that the cluster runs in a container, over the WebSocket of the API server's `exec`.

Subprotocols are `v5.channel.k8s.io` and `v4.channel.k8s.io`: the first byte of a message names its channel.

Invariants: nothing that the other side sends is kept beyond a bound: messages, and what of stderr an error shows. What
is sent waits until the connection takes it. A stream that failed once, or whose sending was given up half way, stays
broken.

A connection that leads nowhere is noticed by WebSocket pings, which API servers answer. That is a sign of life of the
API server, none of the node, the container or the program: whoever needs one asks the program itself, and often enough
that no side takes the connection for idle (four hours in API server and kubelet; proxies between wait less). Answers to
pings come behind what is read, so a caller that stops receiving, or a program that stops reading, for as long as
HEARTBEAT_SECONDS and half of it again, may lose its connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from penstock_kube.errors import (
    MAX_MESSAGE,
    KubeError,
    ProgramFailedError,
    UnavailableError,
    from_response,
    from_status,
)
from penstock_kube.network import STALL_SECONDS, network_errors

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
HEARTBEAT_SECONDS = 30.0
MESSAGE_BYTES = 1024 * 1024
"""The longest message that is taken: servers send what they read at once, 32 KiB."""
STDERR_BYTES = MAX_MESSAGE // 2
_PIECE_BYTES = 64 * 1024
_REFUSAL_BYTES = 64 * 1024
_CLOSE_SECONDS = 2.0
# The program's end is told last, and then the connection closed.
_LAST_SECONDS = 5.0


class ExecSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that can be given up: closing one waits for the other side, which may never answer."""

    async def end(self) -> None:
        """Closes it, and gives it up when the other side does not answer soon."""
        connection = self._response.connection
        transport = None if connection is None else connection.transport
        try:
            await self.close()
        finally:
            if transport is not None:
                transport.abort()

    def abort(self) -> None:
        """Gives the connection up at once."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()


async def refused_upgrade(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware that raises the KubeError of a refused WebSocket, whose body aiohttp does not show."""
    response = await handler(request)
    if request.headers.get("Upgrade") == "websocket" and response.status != 101:
        try:
            body = await response.content.read(_REFUSAL_BYTES)
        finally:
            response.close()
        raise from_response(response.status, body, response.headers)
    return response


class ExecStream:
    """One program. `what` says in errors what was called."""

    def __init__(self, socket: ExecSocket, what: str) -> None:
        self._socket = socket
        self._what = what
        self._stderr = b""
        self._status: Mapping[str, Any] | None = None
        self._sending = asyncio.Lock()

    @staticmethod
    async def connect(
        session: aiohttp.ClientSession, url: URL, options: Mapping[str, Any], *, seconds: float
    ) -> ExecStream:
        """`session` has ExecSockets and the middleware `refused_upgrade`. Raises KubeError, after `seconds` at most."""
        what = f"exec {url.path}"
        with network_errors(what):
            socket = await asyncio.wait_for(
                session.ws_connect(
                    url,
                    protocols=PROTOCOLS,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MESSAGE_BYTES,
                    headers=options["headers"],
                    **{key: value for key, value in options.items() if key in ("ssl", "server_hostname", "proxy")},
                ),
                seconds,
            )
        assert isinstance(socket, ExecSocket)
        if socket.protocol is None:
            await socket.end()
            raise UnavailableError(0, "BadAnswer", f"{what}: the server speaks none of {', '.join(PROTOCOLS)}")
        return ExecStream(socket, what)

    async def send(self, data: bytes) -> None:
        """Sends `data` to the program's stdin; returns when the connection has taken it. Raises UnavailableError."""
        async with self._sending:
            try:
                with network_errors(self._what):
                    for start in range(0, len(data), _PIECE_BYTES):
                        piece = data[start : start + _PIECE_BYTES]
                        await asyncio.wait_for(self._socket.send_bytes(bytes((STDIN,)) + piece), STALL_SECONDS)
            except BaseException:
                # A part of it may be on its way: what would follow is no message of the program's any more.
                self._socket.abort()
                raise

    async def receive(self) -> bytes:
        """The next piece of the program's stdout, of any length; b"" when it has ended with 0.

        Raises ProgramFailedError when the program ended otherwise, another KubeError when it was not begun or the
        connection is lost; with the last of its stderr in the text.
        """
        while True:
            try:
                with network_errors(self._what):
                    message = await self._socket.receive(None if self._status is None else _LAST_SECONDS)
            except UnavailableError:
                if self._status is None:
                    raise
                return self._end()
            if message.type is not WSMsgType.BINARY:
                if message.type is WSMsgType.TEXT:
                    self._socket.abort()
                return self._end()
            channel, piece = message.data[:1], message.data[1:]
            if channel == bytes((STDOUT,)) and piece:
                return bytes(piece)
            if channel == bytes((STDERR,)):
                self._stderr = (self._stderr + piece)[-STDERR_BYTES:]
            if channel == bytes((STATUS,)) and piece and self._status is None:
                self._status = _status(piece)

    async def close(self) -> None:
        """Ends the connection: the program's stdin ends, and what it still writes is lost."""
        await self._socket.end()

    def _end(self) -> bytes:
        """Raises KubeError."""
        if self._status is None:
            why = self._socket.exception() or f"the connection was closed ({self._socket.close_code})"
            raise UnavailableError(0, "ConnectionLost", f"{self._what}: {why}{self._said()}")
        if self._status.get("status") == "Success":
            return b""
        raise self._failure(self._status)

    def _failure(self, status: Mapping[str, Any]) -> KubeError:
        message = str(status.get("message") or "the program failed")[: MAX_MESSAGE - STDERR_BYTES - 100]
        said = f"{message}{self._said()}"
        code = _exit_code(status)
        if code is not None:
            return ProgramFailedError(0, str(status.get("reason") or ""), said, exit_code=code)
        return from_status({**status, "message": said})

    def _said(self) -> str:
        text = self._stderr.decode("utf-8", "replace").strip()
        return f"; stderr: {text}" if text else ""


def _status(piece: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(piece)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        text = piece[:STDERR_BYTES].decode("utf-8", "replace")
        return {"status": "Failure", "message": f"the program's end is told as no Status: {text!r}"}
    return document


def _exit_code(status: Mapping[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            text = str(cause.get("message"))
            return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    return None
