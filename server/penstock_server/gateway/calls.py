"""RPCs from the event loop, over one sync channel.

Invariants: every call has a deadline; a client that goes away cancels its call; only the metadata the contract names is
forwarded (api.md §2.1).
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.message import Message

DEFAULT_DEADLINE_SECONDS = 60.0
_TIMEOUT = re.compile(r"^(\d{1,8})([HMSmun])$")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SAFE_ID = re.compile(r"^[\w.:-]{1,128}$")
Metadata = tuple[tuple[str, str], ...]
Messages = AsyncGenerator[Any, None]


def request_id(request: web.Request) -> str:
    """The caller's id, or a new one; the same for all of a request."""
    found: str | None = request.get("request_id")
    if found is None:
        given = request.headers.get("X-Request-Id", "")
        found = given if _SAFE_ID.match(given) else uuid.uuid4().hex
        request["request_id"] = found
    return found


def metadata(request: web.Request, user_header: str, *extra: tuple[str, str]) -> Metadata:
    forwarded = [("x-request-id", request_id(request)), *extra]
    for header in ("Authorization", user_header):
        value = request.headers.get(header) if header else None
        if value and value.isascii() and value.isprintable():
            forwarded.append((header.lower(), value))
    return tuple(forwarded)


def deadline(request: web.Request) -> float:
    """Seconds, from Grpc-Timeout or the default."""
    match = _TIMEOUT.match(request.headers.get("Grpc-Timeout", ""))
    return float(match.group(1)) * _UNITS[match.group(2)] if match else DEFAULT_DEADLINE_SECONDS


class Caller:
    """Unary and streaming calls by full method name."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._unary: dict[str, Any] = {}
        self._streams: dict[str, Any] = {}

    async def unary(self, rpc: str, message: Message, reply: type[Message], timeout: float, sent: Metadata) -> Any:
        """The reply. Raises grpc.RpcError."""
        call = self._unary.get(rpc)
        if call is None:
            call = self._unary[rpc] = self._channel.unary_unary(
                rpc, request_serializer=_serialize, response_deserializer=reply.FromString
            )
        return await self._answer(call, message, timeout, sent)

    async def unary_bytes(self, rpc: str, content: bytes, timeout: float, sent: Metadata) -> bytes:
        """The reply as it came. Raises grpc.RpcError."""
        reply: bytes = await self._answer(self._channel.unary_unary(rpc, bytes, bytes), content, timeout, sent)
        return reply

    async def _answer(self, call: Any, message: Any, timeout: float, sent: Metadata) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        future = call.future(message, timeout=timeout, metadata=sent)
        future.add_done_callback(lambda finished: _hand_over(loop, done, finished))
        try:
            return await done
        except asyncio.CancelledError:
            future.cancel()
            raise

    async def stream(
        self, rpc: str, message: Message, reply: type[Message], timeout: float | None, sent: Metadata
    ) -> Messages:
        """The messages of a server stream. Raises grpc.RpcError."""
        call = self._streams.get(rpc)
        if call is None:
            call = self._streams[rpc] = self._channel.unary_stream(
                rpc, request_serializer=_serialize, response_deserializer=reply.FromString
            )
        async for one in self._messages(call, message, timeout, sent):
            yield one

    async def stream_bytes(self, rpc: str, content: bytes, timeout: float, sent: Metadata) -> Messages:
        """The messages of a server stream as they came. Raises grpc.RpcError."""
        async for one in self._messages(self._channel.unary_stream(rpc, bytes, bytes), content, timeout, sent):
            yield one

    async def _messages(self, call: Any, message: Any, timeout: float | None, sent: Metadata) -> Messages:
        messages = call(message, timeout=timeout, metadata=sent)
        iterator = iter(messages)
        loop = asyncio.get_running_loop()
        try:
            while True:
                one = await loop.run_in_executor(None, _next, iterator)
                if one is None:
                    return
                yield one
        finally:
            messages.cancel()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _hand_over(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], finished: Any) -> None:
    loop.call_soon_threadsafe(_settle, done, finished)


def _settle(done: asyncio.Future[Any], finished: Any) -> None:
    if done.done():
        return
    try:
        done.set_result(finished.result())
    except grpc.FutureCancelledError:
        done.cancel()
    except grpc.RpcError as error:
        done.set_exception(error)


def _next(iterator: Any) -> Any:
    return next(iterator, None)
