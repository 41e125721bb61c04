"""`ml_metadata.MetadataStoreService`, by passing bytes to the ml-metadata library.

Invariants: replies are not parsed, unless there are namespaces to keep apart (`metadata_visibility`); the store's
status codes and texts are returned, because the stock client maps them to its typed errors, with two exceptions:
INTERNAL becomes the right code if the database refused the caller's data, and SQL statements are removed from texts.
Methods that the library lacks are built from others, or are UNIMPLEMENTED. With an audit log nothing is written before
its line is, and what would write is decoded for it; no other request is parsed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from ml_metadata.proto import metadata_store_service_pb2 as pb

from penstock_server.access import rules
from penstock_server.domain.caller import current_call
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.metadata_store import SERVICE, MetadataDatabase, supported
from penstock_server.rpc.metadata_visibility import MetadataVisibility

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
Intended = Callable[[str, str, str, str], None]
"""Writes a line of the audit log before a deed: resource, verb, id and name of the object."""


def metadata_handler(
    database: MetadataDatabase, visibility: MetadataVisibility | None = None, intended: Intended | None = None
) -> grpc.GenericRpcHandler:
    """All methods of the service on one database. Without `visibility`, callers see everything; `intended` is told of
    each write before it is done.
    """
    handlers = {}
    for method in SERVICE.methods:
        behaviour = _recorded(_method(database, method.name), method.name, intended)
        shown = _visible(behaviour, method.name, visibility, database)
        handlers[method.name] = grpc.unary_unary_rpc_method_handler(shown)
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _recorded(behaviour: _Call, name: str, intended: Intended | None) -> _Call:
    """The same method; if it writes, after its line in the audit log."""
    rule = rules.rule_of(f"/{SERVICE.full_name}/{name}")
    assert isinstance(rule, tuple)
    (check,) = rule
    if intended is None or check.verb == "get" or not supported(name):
        return behaviour
    request_class: Any = getattr(pb, f"{name}Request")

    def recorded(request: bytes, context: grpc.ServicerContext) -> bytes:
        intended(check.resource, check.verb, *_subject(_decoded(request_class, request)))
        return behaviour(request, context)

    return recorded


def _subject(request: Message) -> tuple[str, str]:
    """Id and name of what a request writes: of the first object in it that has either."""
    for field, value in request.ListFields():
        if field.message_type is None:
            continue
        for one in value if field.is_repeated else (value,):
            identifier, name = getattr(one, "id", 0), getattr(one, "name", "")
            if identifier or name:
                return str(identifier or ""), f"{field.name}: {name}"
    return "", ", ".join(field.name for field, _ in request.ListFields())


def _visible(behaviour: _Call, name: str, visibility: MetadataVisibility | None, database: MetadataDatabase) -> _Call:
    """The same method, its reply without what the caller may not see."""
    if visibility is None:
        return behaviour

    def filtered(request: bytes, context: grpc.ServicerContext) -> bytes:
        reply = behaviour(request, context)
        caller = current_call().caller
        return visibility.filtered(
            caller, name, reply, lambda method, asked: _call(database, method, asked.SerializeToString(), context)
        )

    return filtered


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
    batch_request = _decoded(many_request, request)
    reply = many_reply()
    for context_id in batch_request.context_ids:
        raw = _call(database, single, single_request(context_id=context_id).SerializeToString(), context)
        contexts = single_reply.FromString(raw).contexts
        if contexts:
            getattr(reply.contexts[context_id], field).extend(contexts)
    return reply.SerializeToString()  # type: ignore[no-any-return]


def _decoded(request_class: Any, request: bytes) -> Any:
    try:
        return request_class.FromString(request)
    except DecodeError as error:
        raise InvalidArgumentError(f"the message cannot be decoded: {error}") from error
