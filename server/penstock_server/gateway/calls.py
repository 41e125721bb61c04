"""Calls RPCs from the event loop.

Invariants: every unary call has a deadline, a stream the one that its caller asks for; a client that disconnects
cancels its call; the headers of a request are credentials, which only authentication reads.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from aiohttp import web
from google.protobuf.message import Message

from penstock_server.access.credentials import Credentials
from penstock_server.gateway import session_cookie
from penstock_server.tls import names_of_http_peer

DEFAULT_DEADLINE_SECONDS = 60.0
_REQUEST_ID = web.RequestKey("request_id", str)
_CALLED = web.RequestKey("called", bool)
_TIMEOUT = re.compile(r"^(\d{1,8})([HMSmun])$")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SAFE_ID = re.compile(r"^[\w.:-]{1,128}$")
Metadata = tuple[tuple[str, str], ...]
Messages = AsyncGenerator[Any, None]


def request_id(request: web.Request) -> str:
    """The request id that the caller sent, or a new one, kept for the whole request."""
    identifier = request.get(_REQUEST_ID)
    if identifier is None:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _SAFE_ID.match(given) else uuid.uuid4().hex
        request[_REQUEST_ID] = identifier
    return identifier


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes with the message of a call: metadata, and what the caller shows of who they are."""

    metadata: Metadata
    credentials: Credentials


def sent(request: web.Request, *extra: tuple[str, str]) -> Sent:
    """The request id and `extra` as metadata; the request's headers and peer as credentials. Asked for once a call:
    the first one of a request counts against the limits of its user, however many it takes to answer.
    """
    continues = request.get(_CALLED, False)
    request[_CALLED] = True
    return Sent((("x-request-id", request_id(request)), *extra), credentials(request, continues=continues))


def credentials(request: web.Request, *, continues: bool = False) -> Credentials:
    """All headers, the peer's address, the names in its certificate, the session's cookie."""
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = (*headers.get(name.lower(), ()), value)
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    connection = transport.get_extra_info("ssl_object") if transport is not None else None
    return Credentials(
        headers=headers,
        address=str(peer[0]) if isinstance(peer, tuple) else "",
        port=int(peer[1]) if isinstance(peer, tuple) else 0,
        certificate_names=names_of_http_peer(connection),
        session=session_cookie.session_of(request),
        verb=request.method,
        continues=continues,
    )


def asked_deadline(request: web.Request) -> float | None:
    """Seconds, from Grpc-Timeout."""
    match = _TIMEOUT.match(request.headers.get("Grpc-Timeout", ""))
    return float(match.group(1)) * _UNITS[match.group(2)] if match else None


def deadline(request: web.Request) -> float:
    """Seconds, from Grpc-Timeout or the default."""
    asked = asked_deadline(request)
    return DEFAULT_DEADLINE_SECONDS if asked is None else asked


class Stream(Protocol):
    """The replies of a server-streaming call."""

    def next(self) -> Future[Any]:
        """The next message, None behind the last. The future raises grpc.RpcError."""
        ...

    def cancel(self) -> None: ...


class Context(Protocol):
    """Of a pending call: cancels it, and has what its handler ends it with."""

    def cancel(self) -> None: ...
    def trailing_metadata(self) -> Metadata: ...


class Calls(Protocol):
    """The server behind the gateway. Messages are objects, or bytes, and so are replies."""

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Metadata, credentials: Credentials
    ) -> tuple[Future[Any], Context]: ...

    def stream(
        self, method: str, message: Any, timeout: float | None, metadata: Metadata, credentials: Credentials
    ) -> Stream: ...


class Caller:
    """Unary and streaming calls by full method name, for the event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def unary(self, rpc: str, message: Message | bytes, timeout: float, sent: Sent) -> Any:
        """The reply. Raises grpc.RpcError."""
        reply, _ = await self.answer(rpc, message, timeout, sent)
        return reply

    async def answer(
        self, rpc: str, message: Message | bytes, timeout: float, sent: Sent
    ) -> tuple[Any, Mapping[str, str]]:
        """The reply with its trailing metadata. Raises grpc.RpcError."""
        future, context = self._calls.unary(rpc, message, timeout, sent.metadata, sent.credentials)
        try:
            reply = await asyncio.wait_for(asyncio.wrap_future(future), timeout)
            return reply, dict(context.trailing_metadata())
        except asyncio.TimeoutError as error:
            raise DeadlineExceededError from error
        finally:
            context.cancel()

    async def stream(self, rpc: str, message: Message | bytes, timeout: float | None, sent: Sent) -> Messages:
        """The messages of a server stream. Raises grpc.RpcError."""
        messages = self._calls.stream(rpc, message, timeout, sent.metadata, sent.credentials)
        end = None if timeout is None else asyncio.get_running_loop().time() + timeout
        try:
            while (reply := await _within(asyncio.wrap_future(messages.next()), end)) is not None:
                yield reply
        finally:
            messages.cancel()


async def _within(coming: asyncio.Future[Any], end: float | None) -> Any:
    """The result, which has to come before a time of the loop's clock. Raises DeadlineExceededError."""
    if end is None:
        return await coming
    try:
        return await asyncio.wait_for(coming, end - asyncio.get_running_loop().time())
    except asyncio.TimeoutError as error:
        raise DeadlineExceededError from error


class DeadlineExceededError(grpc.RpcError):
    """DEADLINE_EXCEEDED, in the form in which gRPC raises it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "the deadline passed before the call was answered"

    def trailing_metadata(self) -> Any:
        return ()
