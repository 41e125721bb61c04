"""`ml_metadata.MetadataStoreService`, by handing bytes to the wheel.

Invariants: requests and replies pass unparsed; the store's own status codes and texts are the caller's, which is what
the stock client turns back into its typed errors, but for two things: what its database refuses because of what the
caller sent is the caller's error where the store says INTERNAL, and statements of SQL are cut off. Methods that the
extension lacks are built from those it has, or answered with UNIMPLEMENTED.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import grpc
from google.protobuf.message import DecodeError
from ml_metadata.proto import metadata_store_service_pb2 as pb

from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.metadata_store import SERVICE, MetadataDatabase, supported

log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# In the words of SQLite, PostgreSQL, MySQL and MariaDB.
_REFUSALS = (
    (grpc.StatusCode.ALREADY_EXISTS, re.compile("UNIQUE constraint failed|duplicate key value|Duplicate entry")),
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        re.compile(
            "value too long|Data too long|out of range|invalid byte sequence|Incorrect string value|nonempty type_url"
        ),
    ),
)
_STATEMENT = re.compile(r"(?<!executing)\s+query:\s.*", re.DOTALL)
_DEFAULT_TIMEOUT_SECONDS = 60.0
_LONGEST_SECONDS = 3600.0
_Call = Callable[[bytes, grpc.ServicerContext], bytes]


def metadata_handler(database: MetadataDatabase) -> grpc.GenericRpcHandler:
    """All methods of the service on one database."""
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(_method(database, method.name)) for method in SERVICE.methods
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _method(database: MetadataDatabase, name: str) -> _Call:
    if supported(name):
        return lambda request, context: _call(database, name, request, context)
    if name in _BATCHES:
        return lambda request, context: _batch(database, name, request, context)

    def missing(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not offered by the ml-metadata library in use")
        raise AssertionError("abort raises")

    return missing


def _call(database: MetadataDatabase, name: str, request: bytes, context: grpc.ServicerContext) -> bytes:
    left = context.time_remaining()
    # A call without a deadline has one of centuries, which is more than a lock can wait.
    seconds = _DEFAULT_TIMEOUT_SECONDS if left is None else min(left, _LONGEST_SECONDS)
    try:
        reply, text, code = database.call(name, request, seconds)
    except TimeoutError:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the metadata store was busy until the deadline")
    if code != 0:
        context.abort(*_status(code, text))
    return reply


def _status(code: int, text: str) -> tuple[grpc.StatusCode, str]:
    found = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    if found is grpc.StatusCode.INTERNAL:
        found = next((better for better, said in _REFUSALS if said.search(text)), found)
    if found is grpc.StatusCode.INTERNAL:
        log.error("the metadata store failed: %s", text)
    return found, _STATEMENT.sub("", text)


# Many contexts at once, in terms of the call for one: (request, reply, single request, single reply).
_BATCHES = {
    "GetParentContextsByContexts": (
        pb.GetParentContextsByContextsRequest,
        pb.GetParentContextsByContextsResponse,
        "GetParentContextsByContext",
        pb.GetParentContextsByContextRequest,
        pb.GetParentContextsByContextResponse,
        "parent_contexts",
    ),
    "GetChildrenContextsByContexts": (
        pb.GetChildrenContextsByContextsRequest,
        pb.GetChildrenContextsByContextsResponse,
        "GetChildrenContextsByContext",
        pb.GetChildrenContextsByContextRequest,
        pb.GetChildrenContextsByContextResponse,
        "children_contexts",
    ),
}


def _batch(database: MetadataDatabase, name: str, request: bytes, context: grpc.ServicerContext) -> bytes:
    many_request, many_reply, single, single_request, single_reply, field = _BATCHES[name]
    try:
        wanted = many_request.FromString(request)
    except DecodeError as error:
        raise InvalidArgumentError(f"the message cannot be decoded: {error}") from error
    reply = many_reply()
    for context_id in wanted.context_ids:
        raw = _call(database, single, single_request(context_id=context_id).SerializeToString(), context)
        found = single_reply.FromString(raw).contexts
        if found:
            getattr(reply.contexts[context_id], field).extend(found)
    return reply.SerializeToString()  # type: ignore[no-any-return]
