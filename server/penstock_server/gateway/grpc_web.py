"""Serves gRPC-Web on the HTTP port, mostly for the lineage view of the web UI (api.md §4.4).

Why here: a browser cannot read HTTP/2 trailers, so the protocol puts them into a last frame of the body; for unary and
server-streaming calls nothing else differs (PROTOCOL-WEB of the gRPC project).

Invariants: only the methods given to `GrpcWeb` can be called, never DispatchService. Messages are passed on as bytes,
except for the changes of a `BrowserView`. Errors of a call are in the trailer frame of a 200, as in gRPC; a request
that is not gRPC-Web gets a 4xx.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from aiohttp import web

from penstock_server.gateway import calls, replies
from penstock_server.gateway.admission import CONTENT
from penstock_server.gateway.conversion import converted

_BINARY = ("application/grpc-web", "application/grpc-web+proto")
_TEXT = ("application/grpc-web-text", "application/grpc-web-text+proto")
_HEADER = struct.Struct(">BI")
_TRAILERS = 0x80
_COMPRESSED = 0x01
# grpc-message is percent-encoded, except these printable characters.
_MESSAGE_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class BrowserView:
    """Changes messages of unary methods for browsers; each function gets the full path of the method and the
    message.
    """

    map_request: Callable[[str, bytes], bytes] = lambda _path, request: request
    map_reply: Callable[[str, bytes], bytes] = lambda _path, reply: reply


UNCHANGED = BrowserView()


class GrpcWeb:
    """`methods`: full method paths, with whether the reply is a stream."""

    def __init__(self, caller: calls.Caller, methods: Mapping[str, bool], view: BrowserView) -> None:
        self._caller = caller
        self._methods = methods
        self._view = view

    def serves(self, path: str) -> bool:
        return path in self._methods

    async def handle(self, request: web.Request, path: str) -> web.StreamResponse:
        kind = request.content_type
        if request.method != "POST":
            return replies.plain_status(405, grpc.StatusCode.UNIMPLEMENTED, "gRPC-Web calls are POST requests")
        if kind not in (*_BINARY, *_TEXT):
            return replies.plain_status(415, grpc.StatusCode.INVALID_ARGUMENT, f"{kind!r} is not application/grpc-web")
        text = kind in _TEXT
        reply = web.StreamResponse(headers={"Content-Type": kind, "X-Request-Id": calls.request_id(request)})
        try:
            body = request[CONTENT]
            message = await converted(len(body), lambda: _message(body, text=text))
        except ValueError as error:
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        await reply.prepare(request)
        code, details = grpc.StatusCode.OK, ""
        try:
            await self._call(request, path, message, reply, text=text)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
        trailers = f"grpc-status:{code.value[0]}\r\ngrpc-message:{quote(details, safe=_MESSAGE_SAFE)}\r\n"
        await reply.write(_frame(_TRAILERS, trailers.encode(), text=text))
        await reply.write_eof()
        return reply

    async def _call(
        self, request: web.Request, path: str, message: bytes, reply: web.StreamResponse, *, text: bool
    ) -> None:
        sent = calls.sent(request)
        if self._methods[path]:
            async for chunk in self._caller.stream(path, message, calls.asked_deadline(request), sent):
                await reply.write(_frame(0, chunk, text=text))
        else:
            timeout = calls.deadline(request)
            mapped_request = await converted(len(message), lambda: self._view.map_request(path, message))
            content = await self._caller.unary(path, mapped_request, timeout, sent)
            mapped_reply = await converted(len(content), lambda: self._view.map_reply(path, content))
            await reply.write(_frame(0, mapped_reply, text=text))


def _message(body: bytes, *, text: bool) -> bytes:
    """The one message of a request. Raises ValueError."""
    if text:
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the body is no base64: {error}") from error
    if len(body) < _HEADER.size:
        raise ValueError("the body holds no message: five bytes of header are missing")
    flags, length = _HEADER.unpack_from(body)
    if flags & _COMPRESSED:
        raise ValueError("compressed messages are not supported")
    if flags or length != len(body) - _HEADER.size:
        raise ValueError(f"the body holds {len(body) - _HEADER.size} bytes of message, its header says {length}")
    return body[_HEADER.size :]


def _frame(flags: int, content: bytes, *, text: bool) -> bytes:
    framed = _HEADER.pack(flags, len(content)) + content
    return base64.b64encode(framed) if text else framed
