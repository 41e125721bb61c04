"""Watches of runs, and of the list of runs, as Server-Sent Events (WHATWG HTML, server-sent events).

Invariants: an event of a run has as its id the sequence to go on after, so a browser whose connection broke misses
nothing; a watch of the list begins with its whole page, and its events have no id; what cannot be watched is refused
with its status before the stream begins; a stream that is open says something every few seconds, so that proxies keep
it and both ends notice when the other is gone.
"""

from __future__ import annotations

import asyncio
import json

import grpc
from aiohttp import web
from google.protobuf.message import Message
from penstock_api.v1 import watch_pb2

from penstock_server.gateway import calls, replies
from penstock_server.gateway.conversion import converted
from penstock_server.gateway.transcoder import BadRequestError, fill_query, to_json

_WATCH_RUN = "/penstock.v1.WatchService/WatchRun"
_WATCH_RUNS = "/penstock.v1.WatchService/WatchRuns"
_SAY_SOMETHING_SECONDS = 10.0
_MOST_DIGITS = 18
# A browser waits so long before it connects again.
_RETRY = b"retry: 1000\n\n"


class Watches:
    """The routes of watches."""

    def __init__(self, caller: calls.Caller) -> None:
        self._caller = caller

    def add_routes(self, app: web.Application, prefix: str) -> None:
        app.router.add_get(f"{prefix}/apis/penstock/v1/runs/{{run_id}}:watch", self.run)
        app.router.add_get(f"{prefix}/apis/penstock/v1/runs:watch", self.runs)

    async def run(self, request: web.Request) -> web.StreamResponse:
        after = request.headers.get("Last-Event-ID") or request.query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, f"after: {after[:40]!r} is no whole number")
        message = watch_pb2.WatchRunRequest(
            run_id=request.match_info["run_id"],
            after=int(after),
            until_finished=_is_set(request, "until_finished"),
            summary=_is_set(request, "summary"),
        )
        return await self._reply(request, _WATCH_RUN, message)

    async def runs(self, request: web.Request) -> web.StreamResponse:
        message = watch_pb2.WatchRunsRequest()
        try:
            fill_query(message, request.query.items())
        except BadRequestError as error:
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return await self._reply(request, _WATCH_RUNS, message)

    async def _reply(self, request: web.Request, rpc: str, message: Message) -> web.StreamResponse:
        changes = self._caller.stream(rpc, message, None, calls.sent(request))
        try:
            first = await anext(changes, None)
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        reply = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                # Proxies such as nginx would keep events back.
                "X-Accel-Buffering": "no",
                "X-Request-Id": calls.request_id(request),
            }
        )
        await reply.prepare(request)
        try:
            if request.method != "HEAD":
                await _send(reply, first, changes)
        finally:
            await changes.aclose()
        await reply.write_eof()
        return reply


def _is_set(request: web.Request, name: str) -> bool:
    return request.query.get(name, "") in ("1", "true")


async def _send(reply: web.StreamResponse, first: Message | None, changes: calls.Messages) -> None:
    await reply.write(_RETRY)
    change = first
    try:
        while change is not None:
            identity = f"id: {change.sequence}\n" if isinstance(change, watch_pb2.RunChange) else ""
            await reply.write(f"{identity}event: change\ndata: ".encode() + await _text(change) + b"\n\n")
            change = await _next(reply, changes)
        await reply.write(b"event: end\ndata: {}\n\n")
    except grpc.RpcError as error:
        what = {"code": error.code().value[0], "message": error.details() or ""}
        await reply.write(f"event: failure\ndata: {json.dumps(what)}\n\n".encode())


async def _next(reply: web.StreamResponse, changes: calls.Messages) -> Message | None:
    coming = asyncio.ensure_future(anext(changes, None))
    try:
        while not (await asyncio.wait([coming], timeout=_SAY_SOMETHING_SECONDS))[0]:
            await reply.write(b": nothing new\n\n")
        change: Message | None = await coming
    finally:
        coming.cancel()
    return change


async def _text(change: Message) -> bytes:
    """One line: JSON text has line ends in strings only as escapes."""
    return await converted(change.ByteSize(), lambda: to_json(change))
