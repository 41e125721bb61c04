"""Wraps every call: request id, deadline, access, errors to statuses, metrics, a log line.

Why one interceptor: all of them need the same wrapped handler, and their order is fixed. Invariants: the number of open
streams is bounded (`stream_places`); a call whose deadline passed while it waited for a thread is not begun; the
handler finds its call as the current one, that of a stream at every message; the request id, the caller's or a new one,
is returned as `x-request-id`; an answer is cut to the field mask of its call (`field_masks`); a message that cannot be
decoded is INVALID_ARGUMENT, where grpc would use INTERNAL.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import grpc

from penstock_server.domain.caller import Call, calling
from penstock_server.domain.pipeline import Submitted
from penstock_server.domain.places import Network
from penstock_server.errors import InvalidArgumentError, PenstockError
from penstock_server.rpc import field_masks, status
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.convert import inline
from penstock_server.rpc.outlet import Outlet, is_without_thread, without_thread
from penstock_server.rpc.stream_places import StreamPlaces
from penstock_server.rpc.watch_places import WatchPlaces
from penstock_server.telemetry import Limited, Telemetry, count_nothing
from penstock_server.workers.elsewhere import Elsewhere

log = logging.getLogger(__name__)
calls_log = logging.getLogger("penstock_server.calls")
# Calls of these services are logged as INFO, except successful reads, because clients poll; those of executors, health
# checks and reflection are too many.
_PUBLIC = ("/kubeflow.", "/penstock.v1.", "/api.", "/ml_metadata.")
_READS = ("Get", "List", "Read", "Describe", "Explain")

REQUEST_ID = "x-request-id"
# What grpc's clients say by themselves of what they can take is not for handlers to see.
ACCEPT_ENCODING = "accept-encoding"
_END = object()
_SAFE_ID = re.compile(r"^[\w.:-]{1,128}$")


class CallInterceptor(grpc.ServerInterceptor):
    """`limited` counts streams that are refused, or give way."""

    def __init__(
        self,
        telemetry: Telemetry,
        access: AccessControl | None = None,
        proxies: Sequence[Network] = (),
        limited: Limited = count_nothing,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`elsewhere` takes large messages with a document apart."""
        self._elsewhere = elsewhere
        self._telemetry = telemetry
        self._access = access or AccessControl()
        self._streams = StreamPlaces(proxies, self._access.limits, limited)
        self._watches = WatchPlaces(proxies, self._access.limits, limited)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        request_id = _request_id(handler_call_details)
        if handler.request_streaming:
            assert handler.response_streaming, "reflection is the only service whose callers stream"
            return grpc.stream_stream_rpc_method_handler(
                _bidirectional(handler.stream_stream, method, request_id, self._streams, self._access),
                _deferring_errors(handler.request_deserializer),
                _deterministic(handler.response_serializer),
            )
        if is_without_thread(handler.unary_stream):
            return grpc.unary_stream_rpc_method_handler(
                _watching(handler.unary_stream, method, request_id, self._telemetry, self._watches, self._access),
                _deferring_errors(handler.request_deserializer),
                _deterministic(handler.response_serializer),
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(handler.unary_stream, method, request_id, self._telemetry, self._streams, self._access),
                _deferring_errors(handler.request_deserializer),
                _deterministic(handler.response_serializer),
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, method, request_id, self._telemetry, self._access),
            self._deferring_large(method, _deferring_errors(handler.request_deserializer)),
            _deterministic(handler.response_serializer),
        )

    def _deferring_large(
        self, method: str, deserialize: Callable[[bytes], Any] | None
    ) -> Callable[[bytes], Any] | None:
        elsewhere = self._elsewhere
        if deserialize is None or elsewhere is None:
            return deserialize
        return lambda data: _Large(elsewhere, method, data) if inline.is_large(method, data) else deserialize(data)


class _Large:
    """Takes the place of a request message that is taken apart when it is needed, after its caller was identified."""

    def __init__(self, elsewhere: Elsewhere, method: str, data: bytes) -> None:
        self._elsewhere = elsewhere
        self._method = method
        self._data = data

    def __len__(self) -> int:
        """Bytes of the message."""
        return len(self._data)

    @cached_property
    def parts(self) -> tuple[Any, Submitted | None]:
        return inline.taken_apart(self._elsewhere, self._method, self._data)


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """Takes the place of a request message that cannot be decoded."""

    reason: str


def _deferring_errors(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def decoded(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception as error:  # noqa: BLE001 - each implementation of protobuf has errors of its own
            return _Undecodable(str(error)[:200])

    return decoded


def _deterministic(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """Serializes maps in the order of their keys; by default it is a hash table's, which differs between processes."""
    return None if serialize is None else lambda reply: reply.SerializeToString(deterministic=True)


def _require_decoded(request: Any) -> Any:
    if isinstance(request, _Large):
        return request.parts[0]
    if isinstance(request, _Undecodable):
        raise InvalidArgumentError(f"the message cannot be decoded: {request.reason}")
    return request


def _size_of(request: Any) -> int:
    """The bytes of a message as it came, 0 for one that cannot be decoded; ML Metadata gets its messages encoded."""
    if isinstance(request, (_Large, bytes)):
        return len(request)
    return 0 if isinstance(request, _Undecodable) else int(request.ByteSize())


def _document_of(request: Any) -> Submitted | None:
    return request.parts[1] if isinstance(request, _Large) else None


def _unary(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry, access: AccessControl
) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        with telemetry.call(method) as observe:
            record = _CallRecord(observe, method, request_id, request)
            _start_call(context, request_id)
            try:
                admitted = access.admitted(
                    method, lambda: _require_decoded(request), lambda: _size_of(request), context, request_id
                )
                with admitted as admitted_call, calling(admitted_call):
                    message = _require_decoded(request)
                    with inline.document_of_call(_document_of(request)):
                        reply = field_masks.answered(method, context, lambda: behaviour(message, context))
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes a status
                record(_code_of(error))
                _abort(context, error, method, request_id)
            else:
                record("OK", reply)
                return reply

    return call


def _streaming(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry, streams: StreamPlaces, access: AccessControl
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with telemetry.call(method) as observe:
            record = _CallRecord(observe, method, request_id, request)
            _start_call(context, request_id)
            try:
                admitted = access.admitted(
                    method, lambda: _require_decoded(request), lambda: _size_of(request), context, request_id
                )
                with admitted as admitted_call, streams.taken(context, admitted_call.caller) as place:
                    for reply in _replies(admitted_call, lambda: behaviour(_require_decoded(request), context)):
                        with place.given():
                            yield reply
                record("OK")
            except GeneratorExit:
                record("CANCELLED")
                raise
            except Exception as error:  # noqa: BLE001 - as above
                record(_code_of(error))
                _abort(context, error, method, request_id)

    return call


def _watching(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry, watches: WatchPlaces, access: AccessControl
) -> Callable[[Any, grpc.ServicerContext, Any], None]:
    @without_thread
    def call(request: Any, context: grpc.ServicerContext, send: Any) -> None:
        """Returns when the handler has begun the stream, or refused it."""
        under_way = ExitStack()
        record = _CallRecord(under_way.enter_context(telemetry.call(method)), method, request_id, request)
        codes: list[str] = []

        def over() -> None:
            record(codes[0] if codes else "CANCELLED")
            under_way.close()

        def ended(error: Exception | None) -> None:
            codes.append("OK" if error is None else _code_of(error))

        if not context.add_callback(over):
            over()
            return
        _start_call(context, request_id)
        try:
            admitted = access.admitted(
                method, lambda: _require_decoded(request), lambda: _size_of(request), context, request_id
            )
            with admitted as admitted_call, calling(admitted_call):
                peer = watches.taken(context, admitted_call.caller)
                behaviour(_require_decoded(request), context, Outlet(context, send, peer, request_id, ended))
        except Exception as error:  # noqa: BLE001 - as above
            ended(error)
            _abort(context, error, method, request_id)

    return call


def _bidirectional(
    behaviour: Any, method: str, request_id: str, streams: StreamPlaces, access: AccessControl
) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Any]]:
    def call(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            # What callers stream names nothing that has a namespace.
            admitted = access.admitted(method, lambda: None, lambda: 0, context, request_id)
            with admitted as admitted_call, streams.taken(context, admitted_call.caller):
                yield from _replies(admitted_call, lambda: behaviour(map(_require_decoded, requests), context))
        except PenstockError as error:
            _abort(context, error, method, request_id)

    return call


def _replies(call: Call, begin: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """The messages of a stream whose handler finds `call` as the current one.

    It is set for each step anew: between two messages the thread does other work, and the gateway takes the next one on
    another thread, where a context variable that was set here is neither seen nor reset.
    """
    with calling(call):
        replies = iter(begin())
    try:
        while True:
            with calling(call):
                reply = next(replies, _END)
            if reply is _END:
                return
            yield reply
    finally:
        close = getattr(replies, "close", None)
        if close is not None:
            with calling(call):
                close()


class _CallRecord:
    """Records the metrics and the log line of a call; called once, with its status."""

    def __init__(self, observe: Callable[[str], None], method: str, request_id: str, request: Any) -> None:
        self._observe = observe
        self._method = method
        self._request_id = request_id
        self._request = request
        self._started = time.perf_counter()

    def __call__(self, code: str, reply: Any = None) -> None:
        self._observe(code)
        level = logging.INFO if self._is_logged(code) else logging.DEBUG
        if not calls_log.isEnabledFor(level):
            return
        millis = round((time.perf_counter() - self._started) * 1000, 2)
        run_id = getattr(self._request, "run_id", "") or getattr(reply, "run_id", "")
        fields = {"method": self._method, "code": code, "millis": millis, "request_id": self._request_id}
        if isinstance(run_id, str) and run_id:
            fields["run_id"] = run_id[:64]
        text = " ".join(f"{key}={value}" for key, value in list(fields.items())[2:])
        calls_log.log(level, "%s %s %s", self._method, code, text, extra=fields)

    def _is_logged(self, code: str) -> bool:
        is_read = self._method.rpartition("/")[2].startswith(_READS)
        # Who is refused for making too many calls is counted in metrics; each would be a line otherwise.
        is_frequent = (is_read and code == "OK") or code == "RESOURCE_EXHAUSTED"
        return self._method.startswith(_PUBLIC) and not is_frequent


def _code_of(error: Exception) -> str:
    if type(error) is Exception and not error.args:
        return "ABORTED_BY_HANDLER"
    return status.grpc_code(status.status_of(error)).name


def _start_call(context: grpc.ServicerContext, request_id: str) -> None:
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call could begin")
    if dict(context.invocation_metadata() or ()).get(ACCEPT_ENCODING) == "gzip":
        context.set_compression(grpc.Compression.Gzip)
    context.send_initial_metadata(((REQUEST_ID, request_id),))


def _abort(context: grpc.ServicerContext, error: Exception, method: str, request_id: str) -> None:
    if type(error) is Exception and not error.args:
        # grpc raises this to leave a handler that called `abort`.
        raise error
    rpc_status = status.status_of(error, request_id)
    if status.is_expected(error):
        log.debug("%s %s: %s", method, request_id, error)
    else:
        log.error("%s failed, request %s", method, request_id, exc_info=error)
    context.set_trailing_metadata((("grpc-status-details-bin", rpc_status.SerializeToString()),))
    context.abort(status.grpc_code(rpc_status), rpc_status.message)


def _request_id(details: grpc.HandlerCallDetails) -> str:
    for key, value in details.invocation_metadata or ():
        if key == REQUEST_ID and isinstance(value, str) and _SAFE_ID.match(value):
            return value
    return uuid.uuid4().hex
