"""Calls RPCs from the event loop.

Invariants: every unary call has a deadline; a client that disconnects cancels its call; only the metadata of the
contract is forwarded (api.md §2.1).
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from typing import Any, Protocol

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
    """The request id that the caller sent, or a new one, kept for the whole request."""
    identifier: str | None = request.get("request_id")
    if identifier is None:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _SAFE_ID.match(given) else uuid.uuid4().hex
        request["request_id"] = identifier
    return identifier


def metadata(request: web.Request, user_header: str, *extra: tuple[str, str]) -> Metadata:
    """The metadata of a call: the request id, `Authorization`, the user's header, and `extra`."""
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


class Stream(Protocol):
    """The replies of a server-streaming call."""

    def next(self) -> Future[Any]:
        """The next message, None behind the last. The future raises grpc.RpcError."""
        ...

    def cancel(self) -> None: ...


class Context(Protocol):
    """Cancels a pending call."""

    def cancel(self) -> None: ...


class Calls(Protocol):
    """The server behind the gateway. Messages are objects, or bytes, and so are replies."""

    def unary(self, method: str, message: Any, timeout: float, metadata: Metadata) -> tuple[Future[Any], Context]: ...

    def stream(self, method: str, message: Any, timeout: float | None, metadata: Metadata) -> Stream: ...


class Caller:
    """Unary and streaming calls by full method name, for the event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def unary(self, rpc: str, message: Message | bytes, timeout: float, sent: Metadata) -> Any:
        """The reply. Raises grpc.RpcError."""
        future, context = self._calls.unary(rpc, message, timeout, sent)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except asyncio.TimeoutError as error:
            raise DeadlineExceededError from error
        finally:
            context.cancel()

    async def stream(self, rpc: str, message: Message | bytes, timeout: float | None, sent: Metadata) -> Messages:
        """The messages of a server stream. Raises grpc.RpcError."""
        messages = self._calls.stream(rpc, message, timeout, sent)
        try:
            while (reply := await asyncio.wrap_future(messages.next())) is not None:
                yield reply
        finally:
            messages.cancel()


class DeadlineExceededError(grpc.RpcError):
    """DEADLINE_EXCEEDED, in the form in which gRPC raises it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "the deadline passed before the call was answered"

    def trailing_metadata(self) -> Any:
        return ()
