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

from penstock_server.gateway import calls, compression, masks, replies
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
        headers = {"Content-Type": kind, "X-Request-Id": calls.request_id(request)}
        try:
            body = request[CONTENT]
            message = await converted(len(body), lambda: _message(body, text=text))
        except ValueError as error:
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if not self._methods[path]:
            return await self._unary(request, path, message, headers, text=text)
        reply = web.StreamResponse(headers=headers)
        await reply.prepare(request)
        code, details = grpc.StatusCode.OK, ""
        try:
            chunks = self._caller.stream(path, message, calls.asked_deadline(request), calls.sent(request))
            async for chunk in chunks:
                await reply.write(_frame(0, chunk, text=text))
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
        await reply.write(_trailers(code, details, text=text))
        await reply.write_eof()
        return reply

    async def _unary(
        self, request: web.Request, path: str, message: bytes, headers: Mapping[str, str], *, text: bool
    ) -> web.StreamResponse:
        """The message and the trailers as one body, which may be compressed."""
        sent, timeout = calls.sent(request, *masks.header(request)), calls.deadline(request)
        try:
            mapped_request = await converted(len(message), lambda: self._view.map_request(path, message))
            content = await self._caller.unary(path, mapped_request, timeout, sent)
        except grpc.RpcError as error:
            refused = _trailers(error.code(), error.details() or "", text=text)
            return web.Response(body=refused, headers=headers)

        def made() -> web.Response:
            framed = _frame(0, self._view.map_reply(path, content), text=text)
            body = framed + _trailers(grpc.StatusCode.OK, "", text=text)
            return compression.applied(request, web.Response(body=body, headers=headers))

        return await converted(len(content), made)


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


def _trailers(code: grpc.StatusCode, details: str, *, text: bool) -> bytes:
    lines = f"grpc-status:{code.value[0]}\r\ngrpc-message:{quote(details, safe=_MESSAGE_SAFE)}\r\n"
    return _frame(_TRAILERS, lines.encode(), text=text)


def _frame(flags: int, content: bytes, *, text: bool) -> bytes:
    framed = _HEADER.pack(flags, len(content)) + content
    return base64.b64encode(framed) if text else framed
