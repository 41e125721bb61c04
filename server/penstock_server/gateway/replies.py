"""Converts the results of RPCs to HTTP replies (api.md §2.1, §2.2)."""

from __future__ import annotations

import json
from typing import Any

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.rpc import status_pb2

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
_DETAILS = "grpc-status-details-bin"


def json_reply(content: bytes, status: int = 200) -> web.Response:
    """A JSON reply with the header that grpc-gateway adds to all of its replies."""
    return web.Response(
        body=content,
        status=status,
        content_type="application/json",
        headers={"Grpc-Metadata-Content-Type": "application/grpc"},
    )


def http_status(code: grpc.StatusCode) -> int:
    """The HTTP status of a gRPC code, as in grpc-gateway."""
    return _HTTP[code]


def error_reply(code: grpc.StatusCode, message: str, status: int | None = None) -> web.Response:
    """An error as a google.rpc.Status with one detail, as in grpc-gateway."""
    rpc_status = status_pb2.Status(code=code.value[0], message=message)
    detail = rpc_status.details.add()
    detail.Pack(status_pb2.Status(code=code.value[0], message=message))
    return _reply(rpc_status, code, status)


def rpc_error_reply(error: grpc.RpcError) -> web.Response:
    """The reply for a failed call, with the details the server sent."""
    code = error.code()
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == _DETAILS:
            return _reply(status_pb2.Status.FromString(value), code)
    return error_reply(code, error.details() or code.name)


def unsupported_type(given: str, accepted: str) -> web.Response:
    """415: the route does not accept the type of the body."""
    text = f"a body of type {given[:255]!r} is not taken here; send it with Content-Type: {accepted}"
    return error_reply(grpc.StatusCode.INVALID_ARGUMENT, text, 415)


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
