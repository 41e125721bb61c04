"""`ml_metadata.MetadataStoreService`, by handing bytes to the wheel.

Invariants: requests and replies pass unparsed; the store's own status codes and texts are the caller's, which is what
the stock client turns back into its typed errors. Methods that the extension lacks are built from those it has, or
answered with UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from ml_metadata.proto import metadata_store_service_pb2 as pb

from penstock_server.rpc.metadata_store import SERVICE, MetadataDatabase, supported

_CODES = {code.value[0]: code for code in grpc.StatusCode}
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
        context.abort(_CODES.get(code, grpc.StatusCode.UNKNOWN), text)
    return reply


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
    except ValueError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: {error}")
    reply = many_reply()
    for context_id in wanted.context_ids:
        raw = _call(database, single, single_request(context_id=context_id).SerializeToString(), context)
        found = single_reply.FromString(raw).contexts
        if found:
            getattr(reply.contexts[context_id], field).extend(found)
    return reply.SerializeToString()  # type: ignore[no-any-return]
