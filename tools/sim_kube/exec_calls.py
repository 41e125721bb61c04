"""The WebSocket side of `exec`: channels, subprotocols, refusals and ends as API server and kubelet of 1.34 have them.

With `v5.channel.k8s.io` the API server itself speaks to the client, so that what the kubelet refuses comes in a
connection that is open; with v4 it is the answer to the handshake.

Invariants: what a program says comes in its order, its end last. Nothing is sent on a connection that is frozen, and it
stays open; one that is cut ends without a word.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from tools.sim_kube.objects import Refusal

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS = range(4)
KILLED = 137
"""The exit code of a program whose container ends."""
_CLOSED = 255
_MESSAGE_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 32 * 1024


class Program(Protocol):
    """What runs in the container, seen from its stdin."""

    def hear(self, data: bytes) -> None: ...

    def hang_up(self) -> None:
        """Nothing more comes, and nobody reads any more."""


class NotBegunError(Exception):
    """The kubelet does not begin the program; the text is what it says."""


def not_running(container: str) -> NotBegunError:
    return NotBegunError(f'unable to upgrade connection: container not found ("{container}")')


class Call:
    """One connection, seen from the program: what it says is kept until the connection takes it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._frozen = False
        self._over = False
        self.queued = 0
        self.taken: Callable[[], None] = lambda: None
        """Called when all that was said was taken."""

    def say(self, channel: int, data: bytes) -> None:
        """What is said after the end is lost."""
        if self._over:
            return
        for start in range(0, max(1, len(data)), _PIECE_BYTES):
            piece = bytes((channel,)) + data[start : start + _PIECE_BYTES]
            self._waiting.append(piece)
            self.queued += len(piece)
        self._news.set()

    def exit(self, code: int) -> None:
        """The program's end."""
        if code == 0:
            self.end({"metadata": {}, "status": "Success"})
            return
        cause = {"reason": "ExitCode", "message": str(code)}
        message = f"command terminated with non-zero exit code: command terminated with exit code {code}"
        failure = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": message}
        self.end({**failure, "details": {"causes": [cause]}})

    def end(self, status: dict[str, Any]) -> None:
        self.say(STATUS, json.dumps(status).encode())
        self._over = True

    def cut(self) -> None:
        self._over = True
        self._transport.abort()

    def freeze(self) -> None:
        """The node is away: the connection stays, nothing passes."""
        self._frozen = True

    async def send_all(self, socket: web.WebSocketResponse[Any]) -> None:
        """Until the program's end was sent."""
        while True:
            while self._waiting and not self._frozen:
                piece = self._waiting.popleft()
                await socket.send_bytes(piece)
                self.queued -= len(piece)
            if not self._waiting:
                self.taken()
                if self._over:
                    break
            self._news.clear()
            await self._news.wait()
        await socket.close()


class ExecCalls:
    """All connections that are open."""

    def __init__(self) -> None:
        self._open: set[Call] = set()

    @property
    def open(self) -> int:
        return len(self._open)

    def cut(self) -> None:
        """Cuts off every program from its caller."""
        for call in list(self._open):
            call.cut()

    async def serve(self, begin: Callable[[Call], Program], request: web.BaseRequest) -> web.StreamResponse:
        """Until the program or the client has ended. `begin` raises NotBegunError."""
        offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        transport = request.transport
        if request.headers.get("Upgrade", "").lower() != "websocket" or transport is None:
            raise Refusal(400, "BadRequest", "Upgrade request required")
        if not set(offered) & set(PROTOCOLS):
            raise Refusal(400, "BadRequest", "unable to upgrade: none of the subprotocols is known")
        call = Call(transport)
        program: Program | None = None
        call.say(STDOUT, b"")
        try:
            program = begin(call)
        except NotBegunError as error:
            if PROTOCOLS[0] not in offered:
                return web.Response(status=500, text=str(error))
            message = f"Internal error occurred: {error}"
            call.end({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500})
        return await self._connected(call, program, request)

    async def _connected(self, call: Call, program: Program | None, request: web.BaseRequest) -> web.StreamResponse:
        socket: web.WebSocketResponse[Any] = web.WebSocketResponse(
            protocols=PROTOCOLS, max_msg_size=_MESSAGE_BYTES, compress=False, timeout=1.0
        )
        self._open.add(call)
        sending = None
        try:
            await socket.prepare(request)
            sending = asyncio.ensure_future(call.send_all(socket))
            async for message in socket:
                if message.type is not WSMsgType.BINARY or program is None or not message.data:
                    continue
                if message.data[0] == STDIN:
                    program.hear(message.data[1:])
                elif message.data == bytes((_CLOSED, STDIN)):
                    program.hang_up()
        finally:
            self._open.discard(call)
            if sending is not None:
                sending.cancel()
            if program is not None:
                program.hang_up()
        return socket
