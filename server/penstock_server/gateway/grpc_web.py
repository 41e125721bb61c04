"""gRPC-Web on the HTTP port: what browsers speak, the lineage view above all (api.md §4.4).

Why here: a browser cannot read HTTP/2 trailers, so the protocol puts them into the body as one last frame; that is all
there is to it for unary and server-streaming calls (PROTOCOL-WEB of the gRPC project).

Invariants: only methods that were named when the application was made are reachable, never the executors' door.
Messages pass through as bytes, but for what a `View` changes for browsers. Errors travel as gRPC does, in the trailer
frame of a 200; what is no gRPC-Web at all is a 4xx.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import grpc
from aiohttp import web

from penstock_server.gateway import calls, replies

_BINARY = ("application/grpc-web", "application/grpc-web+proto")
_TEXT = ("application/grpc-web-text", "application/grpc-web-text+proto")
_HEADER = struct.Struct(">BI")
_TRAILERS = 0x80
_COMPRESSED = 0x01
# Everything printable but `%`, as grpc-message wants it.
_MESSAGE_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class View:
    """What browsers see otherwise than everybody else, in messages of unary methods: by a method's full path and a
    message, the message.
    """

    taken: Callable[[str, bytes], bytes] = lambda _path, request: request
    shown: Callable[[str, bytes], bytes] = lambda _path, reply: reply


AS_IT_IS = View()


class GrpcWeb:
    """`methods`: full method paths, with whether the reply is a stream."""

    def __init__(self, caller: calls.Caller, methods: Mapping[str, bool], view: View, user_header: str) -> None:
        self._caller = caller
        self._methods = methods
        self._view = view
        self._user_header = user_header

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
            message = _message(await request.read(), text=text)
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
        sent = calls.metadata(request, self._user_header)
        timeout = calls.deadline(request)
        if self._methods[path]:
            async for one in self._caller.stream(path, message, timeout, sent):
                await reply.write(_frame(0, one, text=text))
        else:
            # On a thread: a lineage of thousands of artifacts takes its time.
            asked = await asyncio.to_thread(self._view.taken, path, message)
            content = await self._caller.unary(path, asked, timeout, sent)
            shown = await asyncio.to_thread(self._view.shown, path, content)
            await reply.write(_frame(0, shown, text=text))


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
