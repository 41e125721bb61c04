"""Wraps every call: request id, deadline, errors to statuses, metrics, a log line.

Why one interceptor: all of them need the same wrapped handler, and their order is fixed. Invariants: the number of open
streams is bounded; a call whose deadline passed while it waited for a thread is not begun; the request id, the caller's
or a new one, is returned as `x-request-id`; a message that cannot be decoded is INVALID_ARGUMENT, where grpc would use
INTERNAL.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from penstock_server.errors import InvalidArgumentError, ResourceExhaustedError
from penstock_server.rpc import status
from penstock_server.telemetry import Telemetry

log = logging.getLogger(__name__)
calls_log = logging.getLogger("penstock_server.calls")
# Calls of these services are logged as INFO, except successful reads, because clients poll; those of executors, health
# checks and reflection are too many.
_PUBLIC = ("/kubeflow.", "/penstock.v1.", "/api.", "/ml_metadata.")
_READS = ("Get", "List", "Read", "Describe", "Explain")

# A stream holds a thread, so some of the threads are reserved for other calls.
MAX_STREAMS = 48
REQUEST_ID = "x-request-id"
_SAFE_ID = re.compile(r"^[\w.:-]{1,128}$")


class CallInterceptor(grpc.ServerInterceptor):
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._streams = threading.BoundedSemaphore(MAX_STREAMS)

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
                _bidirectional(handler.stream_stream, method, request_id),
                _deferring_errors(handler.request_deserializer),
                _deterministic(handler.response_serializer),
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(handler.unary_stream, method, request_id, self._telemetry, self._streams),
                _deferring_errors(handler.request_deserializer),
                _deterministic(handler.response_serializer),
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, method, request_id, self._telemetry),
            _deferring_errors(handler.request_deserializer),
            _deterministic(handler.response_serializer),
        )


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
    if isinstance(request, _Undecodable):
        raise InvalidArgumentError(f"the message cannot be decoded: {request.reason}")
    return request


def _unary(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry
) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        with telemetry.call(method) as observe:
            record = _CallRecord(observe, method, request_id, request)
            _start_call(context, request_id)
            try:
                reply = behaviour(_require_decoded(request), context)
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes a status
                record(_code_of(error))
                _abort(context, error, method, request_id)
            else:
                record("OK", reply)
                return reply

    return call


def _streaming(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry, streams: threading.BoundedSemaphore
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with telemetry.call(method) as observe:
            record = _CallRecord(observe, method, request_id, request)
            _start_call(context, request_id)
            acquired = streams.acquire(blocking=False)
            try:
                if not acquired:
                    raise ResourceExhaustedError(
                        f"{MAX_STREAMS} streams are open already; try again when one has ended"
                    )
                yield from behaviour(_require_decoded(request), context)
                record("OK")
            except GeneratorExit:
                record("CANCELLED")
                raise
            except Exception as error:  # noqa: BLE001 - as above
                record(_code_of(error))
                _abort(context, error, method, request_id)
            finally:
                if acquired:
                    streams.release()

    return call


def _bidirectional(
    behaviour: Any, method: str, request_id: str
) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Any]]:
    def call(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(map(_require_decoded, requests), context)
        except InvalidArgumentError as error:
            _abort(context, error, method, request_id)

    return call


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
        return self._method.startswith(_PUBLIC) and not (is_read and code == "OK")


def _code_of(error: Exception) -> str:
    if type(error) is Exception and not error.args:
        return "ABORTED_BY_HANDLER"
    return status.grpc_code(status.status_of(error)).name


def _start_call(context: grpc.ServicerContext, request_id: str) -> None:
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call could begin")
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
