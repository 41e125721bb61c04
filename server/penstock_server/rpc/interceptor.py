"""What happens around every call: request id, deadline, errors to statuses, a log line for what went wrong.

Why one interceptor: all four need the same wrapped handler, and their order is fixed. Invariants: a call that came
without a deadline gets one; streams that are open at the same time are bounded; work whose deadline has passed while it
waited for a thread is not begun; the request id of the caller is kept, or made, and returned as `x-request-id`; a
message that cannot be decoded is the caller's error, where grpc would call it INTERNAL.
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
# Calls of these are logged, a line each. Calls of executors, health checks and reflection are not, nor are reads that
# went well, because clients that wait for a run poll.
_PUBLIC = ("/kubeflow.", "/penstock.v1.", "/api.", "/ml_metadata.")
_READS = ("Get", "List", "Read", "Describe", "Explain")

# A stream that is followed holds a thread: some are kept for everybody else.
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
                _both_streaming(handler.stream_stream, method, request_id),
                _tolerant(handler.request_deserializer),
                _in_order(handler.response_serializer),
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(handler.unary_stream, method, request_id, self._telemetry, self._streams),
                _tolerant(handler.request_deserializer),
                _in_order(handler.response_serializer),
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, method, request_id, self._telemetry),
            _tolerant(handler.request_deserializer),
            _in_order(handler.response_serializer),
        )


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """What stands for a message that is none."""

    reason: str


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def decoded(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception as error:  # noqa: BLE001 - each implementation of protobuf has errors of its own
            return _Undecodable(str(error)[:200])

    return decoded


def _in_order(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """Maps are written in the order of their keys; otherwise it is that of a hash table, another in every process."""
    return None if serialize is None else lambda reply: reply.SerializeToString(deterministic=True)


def _checked(request: Any) -> Any:
    if isinstance(request, _Undecodable):
        raise InvalidArgumentError(f"the message cannot be decoded: {request.reason}")
    return request


def _unary(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry
) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        with telemetry.call(method) as observe:
            ended = _Ended(observe, method, request_id, request)
            _begin(context, request_id)
            try:
                reply = behaviour(_checked(request), context)
            except Exception as error:  # noqa: BLE001 - the one place where everything ends as a status
                ended(_code_of(error))
                _abort(context, error, method, request_id)
            else:
                ended("OK", reply)
                return reply

    return call


def _streaming(
    behaviour: Any, method: str, request_id: str, telemetry: Telemetry, streams: threading.BoundedSemaphore
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with telemetry.call(method) as observe:
            ended = _Ended(observe, method, request_id, request)
            _begin(context, request_id)
            free = streams.acquire(blocking=False)
            try:
                if not free:
                    raise ResourceExhaustedError(
                        f"{MAX_STREAMS} streams are open already; try again when one has ended"
                    )
                yield from behaviour(_checked(request), context)
                ended("OK")
            except GeneratorExit:
                ended("CANCELLED")
                raise
            except Exception as error:  # noqa: BLE001 - as above
                ended(_code_of(error))
                _abort(context, error, method, request_id)
            finally:
                if free:
                    streams.release()

    return call


def _both_streaming(
    behaviour: Any, method: str, request_id: str
) -> Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Any]]:
    def call(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(map(_checked, requests), context)
        except InvalidArgumentError as error:
            _abort(context, error, method, request_id)

    return call


class _Ended:
    """Called once, when the status is known: the figures and the line in the log."""

    def __init__(self, observe: Callable[[str], None], method: str, request_id: str, request: Any) -> None:
        self._observe = observe
        self._method = method
        self._request_id = request_id
        self._request = request
        self._started = time.perf_counter()

    def __call__(self, code: str, reply: Any = None) -> None:
        self._observe(code)
        level = logging.INFO if self._is_told(code) else logging.DEBUG
        if not calls_log.isEnabledFor(level):
            return
        millis = round((time.perf_counter() - self._started) * 1000, 2)
        run_id = getattr(self._request, "run_id", "") or getattr(reply, "run_id", "")
        fields = {"method": self._method, "code": code, "millis": millis, "request_id": self._request_id}
        if isinstance(run_id, str) and run_id:
            fields["run_id"] = run_id[:64]
        text = " ".join(f"{key}={value}" for key, value in list(fields.items())[2:])
        calls_log.log(level, "%s %s %s", self._method, code, text, extra=fields)

    def _is_told(self, code: str) -> bool:
        read = self._method.rpartition("/")[2].startswith(_READS)
        return self._method.startswith(_PUBLIC) and not (read and code == "OK")


def _code_of(error: Exception) -> str:
    if type(error) is Exception and not error.args:
        return "ABORTED_BY_HANDLER"
    return status.grpc_code(status.status_of(error)).name


def _begin(context: grpc.ServicerContext, request_id: str) -> None:
    left = context.time_remaining()
    if left is not None and left <= 0:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call could begin")
    context.send_initial_metadata(((REQUEST_ID, request_id),))


def _abort(context: grpc.ServicerContext, error: Exception, method: str, request_id: str) -> None:
    if type(error) is Exception and not error.args:
        # What grpc raises to leave a handler that aborted by itself.
        raise error
    found = status.status_of(error, request_id)
    if status.foreseen(error):
        log.debug("%s %s: %s", method, request_id, error)
    else:
        log.error("%s failed, request %s", method, request_id, exc_info=error)
    context.set_trailing_metadata((("grpc-status-details-bin", found.SerializeToString()),))
    context.abort(status.grpc_code(found), found.message)


def _request_id(details: grpc.HandlerCallDetails) -> str:
    for key, value in details.invocation_metadata or ():
        if key == REQUEST_ID and isinstance(value, str) and _SAFE_ID.match(value):
            return value
    return uuid.uuid4().hex
