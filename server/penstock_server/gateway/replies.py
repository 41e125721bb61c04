"""Converts the results of RPCs to HTTP replies (api.md §2.1, §2.2)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from penstock_server.errors import InvalidArgumentError, PenstockError, ResourceExhaustedError

_HTTP = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
_Reply = TypeVar("_Reply", bound=web.StreamResponse)
_DETAILS = "grpc-status-details-bin"


# Browsers must not guess a type, nor run scripts, load anything or keep our origin when they are led to such a reply.
UNTRUSTED: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
# For HTML that a task wrote, in a frame of our pages: it may look as it likes, and do nothing else.
HTML_OF_TASK: Mapping[str, str] = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'self'"
    ),
}
_PAGE = web.ResponseKey("page", bool)


def as_page(reply: _Reply) -> _Reply:
    """Declares a reply a file of the web UI, which may be a page of our origin."""
    reply[_PAGE] = True
    reply.headers["X-Content-Type-Options"] = "nosniff"
    return reply


def is_page(reply: web.StreamResponse) -> bool:
    """Whether `as_page` has declared it one."""
    return bool(reply.get(_PAGE))


def attachment(file_name: str) -> str:
    """The Content-Disposition with which a browser saves a reply and does not show it."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", file_name)
    return f'attachment; filename="{safe}"'


def json_reply(content: bytes, status: int = 200) -> web.Response:
    """A JSON reply with the header that grpc-gateway adds to all of its replies; a 401 with the challenge that HTTP
    asks for (RFC 9110, section 11.6.1).
    """
    headers = {"Grpc-Metadata-Content-Type": "application/grpc"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    return web.Response(body=content, status=status, content_type="application/json", headers=headers)


def http_status(code: grpc.StatusCode) -> int:
    """The HTTP status of a gRPC code, as in grpc-gateway."""
    return _HTTP[code]


def unread(error: PenstockError) -> web.Response:
    """The reply to a body that no process could read."""
    codes = {
        InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
        ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
    return error_reply(codes.get(type(error), grpc.StatusCode.UNAVAILABLE), error.message)


def error_reply(code: grpc.StatusCode, message: str, status: int | None = None) -> web.Response:
    """An error as a google.rpc.Status with one detail, as in grpc-gateway."""
    rpc_status = status_pb2.Status(code=code.value[0], message=message)
    detail = rpc_status.details.add()
    detail.Pack(status_pb2.Status(code=code.value[0], message=message))
    return _reply(rpc_status, code, status)


def rpc_error_reply(error: grpc.RpcError) -> web.Response:
    """The reply for a failed call, with the details the server sent."""
    code, status = error.code(), _status_of(error)
    if status is None:
        return error_reply(code, error.details() or code.name)
    return with_retry(_reply(status, code), error)


def with_retry(reply: web.Response, error: grpc.RpcError) -> web.Response:
    """The reply with Retry-After, in whole seconds, where the failed call says when to try again."""
    status, retry = _status_of(error), error_details_pb2.RetryInfo()
    if status is not None and any(detail.Unpack(retry) for detail in status.details):
        milliseconds = retry.retry_delay.ToMilliseconds()
        reply.headers["Retry-After"] = str(max(1, math.ceil(milliseconds / 1000)))
    return reply


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == _DETAILS:
            return status_pb2.Status.FromString(value)
    return None


def unsupported_type(given: str, accepted: str) -> web.Response:
    """415: the route does not accept the type of the body."""
    text = f"a body of type {given[:255]!r} is not taken here; send it with Content-Type: {accepted}"
    return error_reply(grpc.StatusCode.INVALID_ARGUMENT, text, 415)


def busy(reason: str) -> web.Response:
    """503: a bound of the server is reached; the same request may be sent again."""
    reply = json_reply(_busy_content(reason), 503)
    reply.headers["Retry-After"] = "1"
    return reply


@cache
def _busy_content(reason: str) -> bytes:
    """Kept, because it is said to very many at a time."""
    content = error_reply(grpc.StatusCode.UNAVAILABLE, f"{reason}; try again").body
    assert isinstance(content, bytes)
    return content


def request_timeout(reason: str) -> web.Response:
    """408: the client took too long."""
    return error_reply(grpc.StatusCode.DEADLINE_EXCEEDED, reason, 408)


def plain_status(status: int, code: grpc.StatusCode, message: str) -> web.Response:
    """An error of the router itself, a status without details."""
    return json_reply(json.dumps({"code": code.value[0], "message": message}, separators=(",", ":")).encode(), status)


def upload_error(message: str, details: str, status: int) -> web.Response:
    """The body of failed uploads (api.md §1.3)."""
    document: dict[str, Any] = {"error_message": message, "error_details": details}
    return json_reply(json.dumps(document, ensure_ascii=False).encode(), status)


def _reply(rpc_status: status_pb2.Status, code: grpc.StatusCode, status: int | None = None) -> web.Response:
    document = json_format.MessageToDict(rpc_status, preserving_proto_field_name=True)
    return json_reply(json.dumps(document, ensure_ascii=False).encode(), status or _HTTP[code])
