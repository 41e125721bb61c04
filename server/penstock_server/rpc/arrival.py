"""Waits for the message of a call, which grpc does on a thread of its pool without a limit.

Why: a client that begins calls and sends no message would hold all threads, health checks' too. Every method of one
message is therefore registered as one of a stream of messages, which on the wire is the same, and the message is taken
from the stream here.

Invariants: a call whose message does not come in time is cancelled. Few may wait for one longer than a moment: of more,
those of the peer that has most are cancelled, the oldest first, and a moment is shorter while calls wait for a thread.
Health checks have threads of their own. Calls that wait for a thread are bounded; one more is refused without a thread.
A call whose client is gone is not begun. Of calls with a large message only a few are decoded and carried out at a
time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health

from penstock_server.domain.places import Network
from penstock_server.rpc.outlet import is_without_thread, without_thread
from penstock_server.rpc.stream_places import peer_of
from penstock_server.telemetry import Limit, Limited, count_nothing

_HEALTH_CHECK = f"/{health.SERVICE_NAME}/Check"
_MOMENT_SECONDS = 1.0
_MOMENT_SECONDS_WHEN_BUSY = 0.8
# Their message is a few bytes, which come with the headers.
_MOMENT_SECONDS_OF_HEALTH = 0.05
_LOOK_EVERY_SECONDS = 0.025


@dataclass(frozen=True, slots=True)
class CallLimits:
    """`arriving` calls have a thread and wait for their message; `queued` ones wait for a thread."""

    arriving: int = 24
    arrival_seconds: float = 20.0
    queued: int = 1000
    health_threads: int = 32
    large_bytes: int = 64 * 1024
    large_calls: int = 2
    large_waiting: int = 18
    large_seconds: float = 30.0


DEFAULT_CALL_LIMITS = CallLimits()


class ArrivalInterceptor(grpc.ServerInterceptor):
    """The outermost interceptor of a server. `limited` is told of calls that are refused or ended here."""

    def __init__(
        self,
        proxies: Sequence[Network] = (),
        limits: CallLimits = DEFAULT_CALL_LIMITS,
        limited: Limited = count_nothing,
    ) -> None:
        self._proxies = proxies
        self._limited = limited
        self._calls = _Lane(limits, None, limited)
        self._health = _Lane(limits, ThreadPoolExecutor(limits.health_threads, thread_name_prefix="health"), limited)
        self._at_once = _AtOnce(1)
        self._large = _Turns(limits, limited)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler: Any = continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        lane = self._health if handler_call_details.method == _HEALTH_CHECK else self._calls
        if not lane.queue():
            self._limited(Limit.CALLS)
            return self._refusing()
        decode, encode = handler.request_deserializer, handler.response_serializer

        if is_without_thread(handler.unary_stream):

            @without_thread
            def watching(messages: Iterator[bytes], context: grpc.ServicerContext, send: Any) -> None:
                lane.begin()
                message = self._message(lane, messages, context)
                handler.unary_stream(message if decode is None else decode(message), context, send)

            return grpc.stream_stream_rpc_method_handler(lane.on_its_threads(watching), None, encode)

        if handler.response_streaming:

            def replies(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
                message = self._message(lane, messages, context)
                yield from handler.unary_stream(message if decode is None else decode(message), context)

            def streaming(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
                lane.begin()
                return replies(messages, context)

            return grpc.stream_stream_rpc_method_handler(lane.on_its_threads(streaming), None, encode)

        def unary(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            lane.begin()
            message = self._message(lane, messages, context)
            with self._large.turn(len(message), context):
                return handler.unary_unary(message if decode is None else decode(message), context)

        return grpc.stream_unary_rpc_method_handler(lane.on_its_threads(unary), None, encode)

    def _message(self, lane: _Lane, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "the client is gone")
        with lane.arriving(peer_of(context, self._proxies), context):
            message = next(messages, None)
        if message is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "the method takes exactly one message")
            raise AssertionError
        return message

    def _refusing(self) -> grpc.RpcMethodHandler:
        def refuse(_messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls wait already; try again")

        return grpc.stream_unary_rpc_method_handler(_with_threads(refuse, self._at_once), None, None)


class _Lane:
    """Calls that share threads: those of the server, or `pool`."""

    def __init__(self, limits: CallLimits, pool: ThreadPoolExecutor | None, limited: Limited) -> None:
        self._limits = limits
        self._limited = limited
        self._pool = pool
        # A quarter of the threads of health checks may be held by those whose message does not come.
        self._allowed = limits.arriving if pool is None else limits.health_threads // 4
        self._busy_moment = _MOMENT_SECONDS_WHEN_BUSY if pool is None else _MOMENT_SECONDS_OF_HEALTH
        self._lock = threading.Lock()
        self._queued = 0
        self._arrivals: dict[_Arrival, None] = {}
        self._some = threading.Event()
        threading.Thread(target=self._end_overdue, name="arrivals", daemon=True).start()

    def queue(self) -> bool:
        """Notes that a call waits for a thread; False if too many do."""
        with self._lock:
            if self._queued >= self._limits.queued:
                return False
            self._queued += 1
            return True

    def begin(self) -> None:
        """The call has its thread."""
        with self._lock:
            self._queued -= 1

    def on_its_threads(self, behaviour: Any) -> Any:
        return behaviour if self._pool is None else _with_threads(behaviour, self._pool)

    @contextmanager
    def arriving(self, peer: str, context: grpc.ServicerContext) -> Iterator[None]:
        arrival = _Arrival(peer, context, time.monotonic())
        with self._lock:
            self._arrivals[arrival] = None
        self._some.set()
        try:
            yield
        finally:
            with self._lock:
                del self._arrivals[arrival]

    def _end_overdue(self) -> None:
        while True:
            self._some.wait()
            time.sleep(_LOOK_EVERY_SECONDS)
            with self._lock:
                arrivals, queued = list(self._arrivals), self._queued
                if not arrivals:
                    self._some.clear()
            moment = self._busy_moment if queued else _MOMENT_SECONDS
            for arrival in _overdue(arrivals, self._allowed, moment, self._limits.arrival_seconds):
                # It is seen again until its thread has noticed.
                if not arrival.ended.is_set():
                    arrival.ended.set()
                    self._limited(Limit.MESSAGE_TIME)
                arrival.context.cancel()


@dataclass(frozen=True, slots=True, eq=False)
class _Arrival:
    peer: str
    context: Any
    since: float
    ended: threading.Event = field(default_factory=threading.Event)


def _overdue(arrivals: Sequence[_Arrival], allowed: int, moment: float, longest: float) -> list[_Arrival]:
    """Those that have waited for `longest`, and for more than a `moment` where more than `allowed` wait."""
    now = time.monotonic()
    ended = [arrival for arrival in arrivals if now - arrival.since > longest]
    counts = Counter(arrival.peer for arrival in arrivals)
    late = [arrival for arrival in arrivals if moment < now - arrival.since <= longest]
    late.sort(key=lambda arrival: (-counts[arrival.peer], arrival.since))
    return ended + late[: max(0, len(arrivals) - len(ended) - allowed)]


class _Turns:
    """Of calls with a large message, so many are carried out, and so many wait with their thread."""

    def __init__(self, limits: CallLimits, limited: Limited) -> None:
        self._limits = limits
        self._limited = limited
        self._working = threading.BoundedSemaphore(limits.large_calls)
        self._present = threading.BoundedSemaphore(limits.large_calls + limits.large_waiting)

    @contextmanager
    def turn(self, size: int, context: grpc.ServicerContext) -> Iterator[None]:
        if size <= self._limits.large_bytes:
            yield
            return
        if not self._present.acquire(blocking=False):
            self._limited(Limit.LARGE_CALLS)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many large calls are under way; try again")
        try:
            if not self._working.acquire(timeout=self._limits.large_seconds):
                self._limited(Limit.LARGE_CALLS)
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many large calls are under way; try again")
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._present.release()


class _AtOnce(ThreadPoolExecutor):
    """Runs what takes no time on the thread that hands it over."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _with_threads(behaviour: Any, pool: ThreadPoolExecutor) -> Any:
    # grpc reads the pool of a handler from this attribute.
    behaviour.experimental_thread_pool = pool
    return behaviour
