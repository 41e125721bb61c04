"""`ml_metadata.MetadataStoreService`, by passing bytes to the ml-metadata library.

Invariants: requests and replies are not parsed; the store's status codes and texts are returned, because the stock
client maps them to its typed errors, with two exceptions: INTERNAL becomes the right code if the database refused the
caller's data, and SQL statements are removed from texts. Methods that the library lacks are built from others, or are
UNIMPLEMENTED.
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
# Messages of SQLite, PostgreSQL, MySQL and MariaDB.
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
    remaining = context.time_remaining()
    # grpc may report centuries for a call without a deadline, more than a lock can wait.
    seconds = _DEFAULT_TIMEOUT_SECONDS if remaining is None else min(remaining, _LONGEST_SECONDS)
    try:
        reply, text, code = database.call(name, request, seconds)
    except TimeoutError:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the metadata store was busy until the deadline")
    if code != 0:
        context.abort(*_status(code, text))
    return reply


def _status(code: int, text: str) -> tuple[grpc.StatusCode, str]:
    status_code = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    if status_code is grpc.StatusCode.INTERNAL:
        status_code = next((refusal_code for refusal_code, pattern in _REFUSALS if pattern.search(text)), status_code)
    if status_code is grpc.StatusCode.INTERNAL:
        log.error("the metadata store failed: %s", text)
    return status_code, _STATEMENT.sub("", text)


# Methods for many contexts, by the method for one: request, reply, its name, its request, its reply, field of contexts.
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
        batch_request = many_request.FromString(request)
    except DecodeError as error:
        raise InvalidArgumentError(f"the message cannot be decoded: {error}") from error
    reply = many_reply()
    for context_id in batch_request.context_ids:
        raw = _call(database, single, single_request(context_id=context_id).SerializeToString(), context)
        contexts = single_reply.FromString(raw).contexts
        if contexts:
            getattr(reply.contexts[context_id], field).extend(contexts)
    return reply.SerializeToString()  # type: ignore[no-any-return]
