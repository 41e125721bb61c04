"""Sends server streams as HTTP bodies: logs, artifacts, objects.

Invariants: the status line is sent with the first chunk, so that a missing object is a 404 and not a broken 200; if the
stream fails after that, the connection is closed, so that no client takes the part for the whole.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType

import grpc
from aiohttp import web
from google.protobuf.message import Message
from penstock_api.v1 import insight_pb2

from penstock_server.gateway import calls, replies

log = logging.getLogger(__name__)
_INSIGHT = "/penstock.v1.InsightService"
_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$", re.ASCII)


class Streams:
    def __init__(self, caller: calls.Caller) -> None:
        self._caller = caller

    async def send(
        self,
        request: web.Request,
        method: str,
        message: Message,
        content_type: str,
        *,
        file_name: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> web.StreamResponse:
        """The chunks that a method of InsightService streams, as a body, to be saved when it has a file name."""
        chunks = self._chunks(request, method, message)
        try:
            first = await anext(chunks, None)
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        reply = self._reply(request, 200, content_type)
        reply.headers.update(headers)
        if file_name:
            reply.headers["Content-Disposition"] = replies.attachment(file_name)
        return await self._send_body(request, reply, first, chunks)

    async def send_object(
        self, request: web.Request, uri: str, *, unpack: bool, peek: int = 0, file_name: str = ""
    ) -> web.StreamResponse:
        """An object; if its size is known, the part of it that a Range header asks for (RFC 9110 §14)."""
        message = insight_pb2.ReadObjectRequest(uri=uri, unpack=unpack, max_bytes=peek)
        byte_range: tuple[int, int] | None = None
        try:
            if not peek and request.headers.get("Range"):
                size = await self._size(request, uri, unpack=unpack)
                byte_range = None if size is None else _byte_range(request.headers["Range"], size)
                if byte_range is not None and size is not None:
                    if byte_range[0] >= min(size, byte_range[1]):
                        return _unsatisfiable(size)
                    message.offset, message.max_bytes = byte_range[0], byte_range[1] - byte_range[0]
            chunks = self._chunks(request, "ReadObject", message)
            first = await anext(chunks, None)
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        size = first.total_bytes if first is not None and first.HasField("total_bytes") else None
        reply = self._reply(request, 206 if byte_range else 200, "application/octet-stream")
        if byte_range:
            reply.headers["Content-Range"] = f"bytes {byte_range[0]}-{byte_range[1] - 1}/{size}"
            reply.content_length = byte_range[1] - byte_range[0]
        elif size is not None:
            reply.headers["Accept-Ranges"] = "bytes"
            reply.content_length = min(size, peek) if peek else size
        if file_name:
            reply.headers["Content-Disposition"] = replies.attachment(file_name)
        return await self._send_body(request, reply, first, chunks)

    async def _size(self, request: web.Request, uri: str, *, unpack: bool) -> int | None:
        probe = insight_pb2.ReadObjectRequest(uri=uri, unpack=unpack, max_bytes=1)
        chunks = self._chunks(request, "ReadObject", probe)
        first = await anext(chunks, None)
        await chunks.aclose()
        return first.total_bytes if first is not None and first.HasField("total_bytes") else None

    def _chunks(self, request: web.Request, method: str, message: Message) -> calls.Messages:
        return self._caller.stream(f"{_INSIGHT}/{method}", message, None, calls.sent(request))

    def _reply(self, request: web.Request, status: int, content_type: str) -> web.StreamResponse:
        headers = {"Content-Type": content_type, "X-Request-Id": calls.request_id(request)}
        return web.StreamResponse(status=status, headers=headers)

    async def _send_body(
        self, request: web.Request, reply: web.StreamResponse, first: insight_pb2.Chunk | None, chunks: calls.Messages
    ) -> web.StreamResponse:
        await reply.prepare(request)
        if request.method == "HEAD":
            await chunks.aclose()
            return reply
        try:
            if reply.content_length is not None:
                # A client may disconnect when it has all bytes, so the last chunk is sent when the stream has ended.
                while (chunk := await anext(chunks, None)) is not None:
                    await reply.write(first.data if first is not None else b"")
                    first = chunk
            if first is not None:
                await reply.write(first.data)
            async for chunk in chunks:
                await reply.write(chunk.data)
        except grpc.RpcError as error:
            log.warning("%s ended early: %s", request.path, error.details())
            if request.transport is not None:
                request.transport.close()
        await reply.write_eof()
        return reply


def _byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None if the header is no single range of bytes, which is then ignored."""
    match = _RANGE.match(header)
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _unsatisfiable(size: int) -> web.Response:
    reply = replies.error_reply(grpc.StatusCode.OUT_OF_RANGE, f"the object has {size} bytes", 416)
    reply.headers["Content-Range"] = f"bytes */{size}"
    return reply
