"""The table that maps errors to gRPC statuses (api.md §2.2).

Errors of calls get their status here alone; what the HTTP gateway refuses by itself is made in `gateway/replies.py`.

Invariants: an error in the table is returned with its own message; any other as a fixed text with the request id, and
its cause is logged. The `google.rpc.Status` is sent in the trailing metadata. Its first detail repeats it; where a
call may be tried again at a time that is known, the second is a RetryInfo.
"""

from __future__ import annotations

import math

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from penstock_ir.errors import ExpressionError, InvalidParametersError, InvalidSpecError

from penstock_server import errors

INTERNAL_TEXT = "Internal Server Error"

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidArgumentError, code_pb2.INVALID_ARGUMENT),
    (InvalidSpecError, code_pb2.INVALID_ARGUMENT),
    (InvalidParametersError, code_pb2.INVALID_ARGUMENT),
    (ExpressionError, code_pb2.INVALID_ARGUMENT),
    (errors.NotFoundError, code_pb2.NOT_FOUND),
    (errors.AlreadyExistsError, code_pb2.ALREADY_EXISTS),
    (errors.FailedPreconditionError, code_pb2.FAILED_PRECONDITION),
    (errors.AbortedError, code_pb2.ABORTED),
    (errors.UnavailableError, code_pb2.UNAVAILABLE),
    (errors.ResourceExhaustedError, code_pb2.RESOURCE_EXHAUSTED),
    (errors.UnimplementedError, code_pb2.UNIMPLEMENTED),
    (errors.PermissionDeniedError, code_pb2.PERMISSION_DENIED),
    (errors.UnauthenticatedError, code_pb2.UNAUTHENTICATED),
)
_GRPC = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE = 4000


def status_of(error: Exception, request_id: str = "") -> status_pb2.Status:
    """The status that is returned for an error."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            text = str(error)
            message = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]} … ({len(text)} characters)"
            return _status(code, message, getattr(error, "retry_seconds", 0.0))
    return _status(code_pb2.INTERNAL, f"{INTERNAL_TEXT} (request {request_id})" if request_id else INTERNAL_TEXT)


def is_expected(error: Exception) -> bool:
    """Whether the table has the error."""
    return isinstance(error, tuple(kind for kind, _ in _CODES))


def grpc_code(status: status_pb2.Status) -> grpc.StatusCode:
    """The code of a status as grpc's own enumeration."""
    return _GRPC[status.code]


def _status(code: int, message: str, retry_seconds: float = 0.0) -> status_pb2.Status:
    detail = any_pb2.Any()
    detail.Pack(status_pb2.Status(code=code, message=message))
    status = status_pb2.Status(code=code, message=message, details=[detail])
    if retry_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(math.ceil(retry_seconds * 1000))
        status.details.add().Pack(retry)
    return status
