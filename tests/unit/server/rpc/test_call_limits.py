"""What a stranger may take of a gRPC port: threads, streams, messages. The server is the real one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from penstock_server.rpc import arrival
from penstock_server.rpc.arrival import CallLimits
from penstock_server.rpc.grpc_server import THREADS, new_server
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.stream_places import MAX_STREAMS
from penstock_server.telemetry import Limit, Telemetry, count_nothing

ECHO, FOLLOW, FILL = "/test.Service/Echo", "/test.Service/Follow", "/test.Service/Fill"


class Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Echo returns the message; Follow says one thing and waits; Fill sends without end. `noted` is what the metrics
    have of bounds.
    """

    def __init__(self) -> None:
        self.noted: Counter[Limit] = Counter()
        self.begun: Counter[str] = Counter()
        self.present = threading.Event()
        self.present.set()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return {
            ECHO: grpc.unary_unary_rpc_method_handler(self._echo),
            FOLLOW: grpc.unary_stream_rpc_method_handler(self._follow),
            FILL: grpc.unary_stream_rpc_method_handler(self._fill),
        }.get(details.method)

    def _echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.begun[request[:10].decode()] += 1
        self.present.wait(30)
        return request

    def _follow(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"said"
        while context.is_active():
            time.sleep(0.02)

    def _fill(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        while context.is_active():
            yield bytes(1 << 20)


@contextmanager
def serving(service: Service) -> Iterator[str]:
    def note(limit: Limit) -> None:
        service.noted[limit] += 1

    interceptor = CallInterceptor(Telemetry(lambda: (0, 0)), limited=note)
    server: Any = new_server("test", [interceptor], limited=note)
    server.add_generic_rpc_handlers((service,))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with serving(service) as made:
        yield made


def channel(stack: ExitStack, address: str) -> grpc.Channel:
    """With a connection of its own, whose windows do not grow: on a machine that is busy gRPC takes every delay for a
    long line, and buffers gigabytes of what nobody reads.
    """
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    return stack.enter_context(grpc.insecure_channel(address, options=options))


def never(stack: ExitStack) -> Iterator[bytes]:
    """The messages of a caller that sends none."""
    ended = threading.Event()
    stack.callback(ended.set)

    def messages() -> Iterator[bytes]:
        ended.wait()
        yield from ()

    return messages()


def plain(message: bytes) -> bytes:
    return message


def held(stack: ExitStack, address: str, method: str, count: int) -> list[Any]:
    """Calls that have begun and whose message does not come."""
    calls: list[Any] = []
    for number in range(count):
        if number % 100 == 0:
            made = channel(stack, address)
        calls.append(made.stream_unary(method, plain, plain).future(never(stack)))
        stack.callback(calls[-1].cancel)
    return calls


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.02)


def health_answers(made: grpc.Channel) -> None:
    until(lambda: _is_healthy(made))


def _is_healthy(made: grpc.Channel) -> bool:
    try:
        request = health_pb2.HealthCheckRequest()
        return bool(health_pb2_grpc.HealthStub(made).Check(request, timeout=5, wait_for_ready=True).status)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return False


@pytest.mark.parametrize("method", [ECHO, FOLLOW, "/grpc.health.v1.Health/Check"])
def test_calls_that_send_no_message_hold_up_nobody(service: Service, address: str, method: str) -> None:
    with ExitStack() as stack:
        calls = held(stack, address, method, 300)
        until(lambda: sum(call.done() for call in calls) > 200)
        other = channel(stack, address)
        health_answers(other)
        echo: Any = other.unary_unary(ECHO, plain, plain)
        assert echo(b"x", timeout=10) == b"x"
        codes = Counter(call.code() for call in calls if call.done())
        assert set(codes) <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
        assert 0 < service.noted[Limit.MESSAGE_TIME] <= 300


def test_a_message_has_to_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = ((), CallLimits(arrival_seconds=0.5), count_nothing)
    monkeypatch.setattr(arrival.ArrivalInterceptor.__init__, "__defaults__", changed)
    service = Service()
    with serving(service) as address, ExitStack() as stack:
        (call,) = held(stack, address, ECHO, 1)
        with pytest.raises(grpc.RpcError) as ended:
            call.result(timeout=20)
        assert ended.value.code() is grpc.StatusCode.CANCELLED
        assert service.noted == {Limit.MESSAGE_TIME: 1}


def test_calls_with_a_large_message_are_bounded(service: Service, address: str) -> None:
    service.present.clear()
    with ExitStack() as stack:
        stack.callback(service.present.set)
        echo: Any = channel(stack, address).unary_unary(ECHO, plain, plain)
        calls = [echo.future(bytes(70_000)) for _ in range(30)]
        until(lambda: sum(call.done() for call in calls) >= 10)
        assert {call.code() for call in calls if call.done()} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert service.noted[Limit.LARGE_CALLS] >= 10


def test_health_answers_while_every_thread_works(service: Service, address: str) -> None:
    service.present.clear()
    with ExitStack() as stack:
        stack.callback(service.present.set)
        channels = [channel(stack, address) for _ in range(3)]
        for number in range(300):
            call: Any = channels[number % 3].unary_unary(ECHO, plain, plain)
            stack.callback(call.future(b"working").cancel)
        until(lambda: service.begun["working"] == THREADS)
        health_answers(channel(stack, address))


def test_a_call_of_a_client_that_is_gone_is_not_begun(service: Service, address: str) -> None:
    service.present.clear()
    with ExitStack() as stack:
        stack.callback(service.present.set)
        made = channel(stack, address)
        echo: Any = made.unary_unary(ECHO, plain, plain)
        working = [echo.future(b"working") for _ in range(THREADS)]
        until(lambda: service.begun["working"] == THREADS)
        gone = [echo.future(b"gone") for _ in range(30)]
        for call in gone:
            call.cancel()
        service.present.set()
        assert {call.result(timeout=20) for call in working} == {b"working"}
        assert echo(b"last", timeout=10) == b"last"
        assert service.begun["gone"] == 0


def test_calls_that_wait_for_a_thread_are_bounded(service: Service, address: str) -> None:
    service.present.clear()
    with ExitStack() as stack:
        stack.callback(service.present.set)
        calls = []
        for number in range(1300):
            if number % 100 == 0:
                made: Any = channel(stack, address).unary_unary(ECHO, plain, plain)
            calls.append(made.future(b"x"))
        until(lambda: sum(call.done() for call in calls) >= 1300 - 1000 - THREADS)
        # A client that still sends its message may see the end of the stream before the status.
        refused = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
        assert {call.code() for call in calls if call.done()} <= refused
        service.present.set()
        until(lambda: all(call.done() for call in calls))
        assert made(b"after", timeout=10) == b"after"
        assert service.noted[Limit.CALLS] > 0


def test_one_address_cannot_take_all_streams(service: Service, address: str) -> None:
    with ExitStack() as stack:
        calls = []
        for number in range(60):
            if number % 20 == 0:
                made: Any = channel(stack, address).unary_stream(FOLLOW, plain, plain)
            calls.append(made(b""))
            stack.callback(calls[-1].cancel)
        open_now = 0
        for call in calls:
            try:
                open_now += next(call) == b"said"
            except grpc.RpcError as error:
                # Cancelled: one that was not read for seconds, on a machine that is slow, gave way to a later one.
                assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
        assert 0 < open_now < MAX_STREAMS
        assert 0 < service.noted[Limit.STREAMS] + service.noted[Limit.STREAM_PLACE] <= 60 - 40


def test_a_stream_that_nobody_reads_gives_way(service: Service, address: str) -> None:
    with ExitStack() as stack:
        fill: Any = channel(stack, address).unary_stream(FILL, plain, plain)
        unread = [fill(b"") for _ in range(40)]
        for call in unread:
            stack.callback(call.cancel)
            next(call)
        follow: Any = channel(stack, address).unary_stream(FOLLOW, plain, plain)

        def is_taken() -> bool:
            call = follow(b"", timeout=20)
            stack.callback(call.cancel)
            try:
                return bool(next(call) == b"said")
            except grpc.RpcError as error:
                # Its own deadline counts from before it was sent, which takes its time on a machine that is slow.
                assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
                return False

        # What nobody reads is buffered on its way first.
        until(is_taken, 200)
        assert service.noted[Limit.STREAM_PLACE] >= 1


@pytest.mark.parametrize(("size", "code"), [(12_000, None), (100_000, grpc.StatusCode.RESOURCE_EXHAUSTED)])
def test_metadata_is_bounded(address: str, size: int, code: Any) -> None:
    with ExitStack() as stack:
        echo: Any = channel(stack, address).unary_unary(ECHO, plain, plain)
        call = echo.future(b"x", metadata=(("x-long", "v" * size),), timeout=10)
        assert (call.exception() and call.code()) == code


def test_a_message_that_unpacks_to_too_much(address: str) -> None:
    with ExitStack() as stack:
        options = [("grpc.max_send_message_length", -1)]
        made = stack.enter_context(grpc.insecure_channel(address, options, grpc.Compression.Gzip))
        echo: Any = made.unary_unary(ECHO, plain, plain)
        with pytest.raises(grpc.RpcError) as refused:
            echo(bytes(130 << 20), timeout=60)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
