"""What one user may take, over gRPC and within the process. The server is the real one, on a clock that tests move."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from penstock_server.access.authentication import Authentication
from penstock_server.access.credentials import NOBODY, Credentials
from penstock_server.access.user_limits import BURST_SECONDS, UserBounds, UserLimits
from penstock_server.domain.caller import Caller, Source, current_call
from penstock_server.errors import ResourceExhaustedError, UnauthenticatedError
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.grpc_server import new_server
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.local import HandlerRegistry, LocalCallError, LocalCalls, LocalContext
from penstock_server.telemetry import Telemetry

ECHO, FOLLOW, CHAT = "/test.Service/Echo", "/test.Service/Follow", "/test.Service/Chat"


class UserHeader:
    def authenticate(self, credentials: Credentials) -> Caller | None:
        users = credentials.values("user")
        return Caller(users[0], source=Source.TOKEN) if users else None


class Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Follow and Chat say who calls, at each message; Follow at the end too."""

    def __init__(self) -> None:
        self.said_last: list[str] = []
        self.ended = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return {
            ECHO: grpc.unary_unary_rpc_method_handler(lambda request, context: _user()),
            FOLLOW: grpc.unary_stream_rpc_method_handler(self._follow),
            CHAT: grpc.stream_stream_rpc_method_handler(self._chat),
        }.get(details.method)

    def _follow(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            while context.is_active():
                yield _user()
                time.sleep(0.01)
        finally:
            self.said_last.append(_user().decode())
            self.ended.set()

    def _chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield _user()


def _user() -> bytes:
    return current_call().caller.user.encode()


@dataclass
class Server:
    service: Service
    limits: UserLimits
    local: LocalCalls
    channel: Any
    refused: Counter[str]
    audited: list[str]
    telemetry: Telemetry
    clock: list[float]

    def call(self, user: str, message: bytes = b"", method: str = ECHO) -> bytes:
        called = self.channel.unary_unary(method)
        return bytes(called(message, metadata=(("user", user),), timeout=30))

    def code(self, user: str, message: bytes = b"") -> grpc.StatusCode:
        try:
            self.call(user, message)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK

    def follows(self) -> bool:
        """Whether a stream is open; it is so until its place is free."""
        return 'penstock_rpc_under_way{method="/test.Service/Follow"} 1.0' in self.telemetry.exposition().decode()

    def follow(self, user: str) -> Any:
        followed = self.channel.unary_stream(FOLLOW)
        return followed(b"", metadata=(("user", user),), timeout=60)


OK, EXHAUSTED = grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
def serve() -> Iterator[Callable[[UserBounds], Server]]:
    with ExitStack() as stack:

        def made(bounds: UserBounds) -> Server:
            clock, refused, audited = [1e6], Counter[str](), list[str]()
            limits = UserLimits(bounds, lambda limit: refused.update([limit]), lambda: clock[0])
            access = AccessControl(
                Authentication([UserHeader()]), None, lambda call, error: audited.append(call.caller.user), limits
            )
            telemetry = Telemetry(lambda: (0, 0))
            interceptor = CallInterceptor(telemetry, access)
            server: Any = new_server("test", [interceptor])
            service, handlers = Service(), HandlerRegistry(server)
            handlers.add_generic_rpc_handlers((service,))
            health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
            local = LocalCalls(handlers, interceptor)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            stack.callback(local.close)
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            return Server(service, limits, local, channel, refused, audited, telemetry, clock)

        yield made


def test_calls_of_one_user_are_bounded_and_anothers_are_not_touched(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=2))
    codes = [server.code("alice") for _ in range(50)]
    burst = 2 * BURST_SECONDS
    assert codes == [OK] * burst + [EXHAUSTED] * (50 - burst)
    assert server.code("bob") is OK
    server.clock[0] += 1
    assert [server.code("alice") for _ in range(3)] == [OK, OK, EXHAUSTED]
    assert server.refused == {"user_calls": 31}
    assert server.audited == []


def test_the_refusal_says_which_limit_and_when_to_try_again(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=2))
    while server.code("alice") is OK:
        pass
    with pytest.raises(grpc.RpcError) as refused:
        server.call("alice")
    error: Any = refused.value
    assert "more than 2 calls a second (--max-calls-per-user" in error.details()
    trailing: dict[str, Any] = dict(error.trailing_metadata())
    first, second = status_pb2.Status.FromString(trailing["grpc-status-details-bin"]).details
    repeated, retry = status_pb2.Status(), error_details_pb2.RetryInfo()
    assert first.Unpack(repeated) and repeated.code == 8
    assert second.Unpack(retry) and retry.retry_delay.ToMilliseconds() == 500


def test_bytes_of_one_user_are_bounded_by_the_minute(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(upload_bytes=60_000))
    assert server.code("alice", bytes(50_000)) is OK
    # More than is left: let pass, and owed.
    assert server.code("alice", bytes(100_000)) is OK
    assert server.code("alice", bytes(1)) is EXHAUSTED
    assert server.code("bob", bytes(50_000)) is OK
    server.clock[0] += 89
    assert server.code("alice", bytes(1)) is EXHAUSTED
    server.clock[0] += 2
    assert server.code("alice", bytes(1)) is OK
    assert server.refused == {"user_upload_bytes": 2}


def test_without_limits_nothing_is_counted(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds())
    assert {server.code("alice", bytes(10_000)) for _ in range(200)} == {OK}
    streams = [server.follow("alice") for _ in range(30)]
    assert {next(stream) for stream in streams} == {b"alice"}


def test_health_is_never_counted_and_strangers_are_refused_as_such(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=1))
    while server.code("alice") is OK:
        pass
    stub = health_pb2_grpc.HealthStub(server.channel)
    for _ in range(50):
        stub.Check(health_pb2.HealthCheckRequest(), metadata=(("user", "alice"),), timeout=30)
    called = server.channel.unary_unary(ECHO)
    for _ in range(50):
        with pytest.raises(grpc.RpcError) as refused:
            called(b"", timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(server.audited) == 50


def test_within_the_process_a_call_counts_unless_it_continues_one(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=1))

    def call(*, continues: bool) -> str:
        shown = Credentials({"user": ("alice",)}, continues=continues)
        future, _ = server.local.unary(ECHO, b"", 30, (), shown)
        try:
            return bytes(future.result(30)).decode()
        except LocalCallError as error:
            return error.code().name

    assert [call(continues=True) for _ in range(50)] == ["alice"] * 50
    assert [call(continues=False) for _ in range(12)] == ["alice"] * 10 + ["RESOURCE_EXHAUSTED"] * 2
    assert server.code("alice") is EXHAUSTED


def test_no_caller_over_grpc_can_say_that_a_call_continues_one(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=1))
    called = server.channel.unary_unary(ECHO)
    metadata = (("user", "alice"), ("continues", "true"))
    for _ in range(10):
        called(b"", metadata=metadata, timeout=30)
    with pytest.raises(grpc.RpcError) as refused:
        called(b"", metadata=metadata, timeout=30)
    assert refused.value.code() is EXHAUSTED


def test_streams_of_one_user_are_bounded_over_all_ways_together(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(streams=3))
    local = server.local.stream(FOLLOW, b"", None, (), Credentials({"user": ("alice",)}))
    assert local.next().result(30) == b"alice"
    streams = [server.follow("alice") for _ in range(2)]
    assert [next(stream) for stream in streams] == [b"alice"] * 2
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as refused:
            next(server.follow("alice"))
        assert refused.value.code() is EXHAUSTED
        assert "3 streams open" in str(refused.value.details())
    one_more = server.local.stream(FOLLOW, b"", None, (), Credentials({"user": ("alice",)}))
    with pytest.raises(LocalCallError) as within:
        one_more.next().result(30)
    assert within.value.code() is EXHAUSTED
    assert next(server.follow("bob")) == b"bob"
    assert server.code("alice") is OK
    assert server.refused == {"user_streams": 4}


@pytest.mark.parametrize("way", ["grpc", "local"])
def test_a_stream_whose_client_goes_frees_its_place(serve: Callable[[UserBounds], Server], way: str) -> None:
    server = serve(UserBounds(streams=1))
    for _ in range(5):
        server.service.ended.clear()
        if way == "grpc":
            stream = server.follow("alice")
            assert next(stream) == b"alice"
            stream.cancel()
        else:
            followed = server.local.stream(FOLLOW, b"", None, (), Credentials({"user": ("alice",)}))
            assert followed.next().result(30) == b"alice"
            followed.cancel()
        assert server.service.ended.wait(30)
        _until_there_is_room(server)
    assert set(server.service.said_last) == {"alice"}


def _until_there_is_room(server: Server) -> None:
    """The handler ends a moment before its place is free."""
    until = time.monotonic() + 30
    while server.follows():
        assert time.monotonic() < until, "the place is not free"
        time.sleep(0.01)


def test_a_stream_finds_its_caller_on_whichever_thread_it_goes_on(serve: Callable[[UserBounds], Server]) -> None:
    """As the gateway takes messages: each on any thread, streams of several users in turns on one."""
    server = serve(UserBounds())

    def begun(user: str) -> Any:
        context = LocalContext((), None, Credentials({"user": (user,)}))
        return server.local.handler(FOLLOW, ()).unary_stream(b"", context)

    streams = {user: begun(user) for user in ("alice", "bob")}

    def one_of_each() -> None:
        for user, stream in streams.items():
            said.append((next(stream) == user.encode(), current_call().caller.source is Source.SYSTEM))

    def end() -> None:
        for stream in streams.values():
            stream.close()
            said.append((True, current_call().caller.source is Source.SYSTEM))

    said: list[tuple[bool, bool]] = []
    for work in (one_of_each, one_of_each, one_of_each, end):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
    assert said == [(True, True)] * 8
    assert server.service.said_last == ["alice", "bob"]


def test_a_stream_of_both_sides_finds_its_caller(serve: Callable[[UserBounds], Server]) -> None:
    server = serve(UserBounds(calls=1))
    chat = server.channel.stream_stream(CHAT)
    assert list(chat(iter([b"1", b"2"]), metadata=(("user", "alice"),), timeout=30)) == [b"alice"] * 2


def test_the_log_names_who_is_over_a_limit_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    limits = UserLimits(UserBounds(calls=1), timer=lambda: clock[0])

    def flood() -> None:
        for _ in range(500):
            try:
                limits.admit(Caller("alice\n"), lambda: 0)
            except ResourceExhaustedError as error:
                assert 0 < error.retry_seconds <= 1

    flood()
    flood()
    assert [record.getMessage() for record in caplog.records] == [
        "user 'alice\\n' is over the limit of calls and refused"
    ]
    clock[0] += 61
    flood()
    assert len(caplog.records) == 2


def test_who_is_not_known_is_not_counted_by_name() -> None:
    limits = UserLimits(UserBounds(calls=1))
    access = AccessControl(Authentication([UserHeader()]), limits=limits)
    context: Any = type("Context", (), {"credentials": NOBODY})()
    for _ in range(50):
        with pytest.raises(UnauthenticatedError), access.admitted(ECHO, lambda: b"", lambda: 0, context, ""):
            pass
