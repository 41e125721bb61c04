"""What a stranger may take of the HTTP port: connections, time, memory; the application around it is the real one."""

from __future__ import annotations

import gzip
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from penstock_server.access.credentials import Credentials
from penstock_server.gateway import bodies
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.limits import HttpLimits
from penstock_server.gateway.probes import probes_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc.server import public_services
from penstock_server.telemetry import Limit

from tests.support import http

HEADERS = b"POST /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = HEADERS + b"Content-Length: 1000\r\n\r\n{"
PROBES = ("/livez", "/readyz", "/metrics", "/apis/v1beta1/healthz", "/apis/v2beta1/healthz")
LIMITS = HttpLimits(
    connections=40, connections_per_address=40, requests=4, requests_per_address=4, bodies=4, bodies_per_address=4,
    header_seconds=60.0, idle_seconds=60.0, slow_seconds=60.0,
)  # fmt: skip


class _NoContext:
    def cancel(self) -> None:
        pass

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Calls:
    """Never answers a call until `answered` is set; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.peers: list[tuple[str, int]] = []
        self.answered: Future[Any] = Future()

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Any, credentials: Credentials
    ) -> tuple[Future[Any], Any]:
        self.asked.append(method)
        self.peers.append((credentials.address, credentials.port))
        reply: Future[Any] = Future()
        self.answered.add_done_callback(lambda _: None if reply.cancelled() else reply.set_result(type(message)()))
        return reply, _NoContext()

    def stream(self, method: str, message: Any, timeout: float | None, metadata: Any, credentials: Credentials) -> Any:
        raise NotImplementedError


class Noted(Counter[Limit]):
    """How often each bound refused or ended something, as the metrics have it."""

    def note(self, limit: Limit) -> None:
        self[limit] += 1


@contextmanager
def serving(limits: HttpLimits, calls: Calls | None = None, noted: Noted | None = None) -> Iterator[int]:
    served = calls or Calls()
    limited = (noted if noted is not None else Noted()).note
    settings = GatewaySettings(services=public_services(), limits=limits, limited=limited)
    gateway = GatewayServer([Site(create_app(served, settings), "127.0.0.1", 0)], limits, limited)
    try:
        yield gateway.start()[0]
    finally:
        if not served.answered.done():
            served.answered.set_result(None)
        gateway.stop(5)


def connected(port: int, sent: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=30)
    made.sendall(sent)
    return made


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    content = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            content += chunk
    return content


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.02)


def all_probes_answer(port: int) -> None:
    for path in PROBES:
        assert http.call("GET", f"http://127.0.0.1:{port}{path}").status == 200, path


def test_bodies_that_never_come_hold_up_nobody() -> None:
    calls = Calls()
    calls.answered.set_result(None)
    noted = Noted()
    with serving(LIMITS, calls, noted) as port, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(connected(port, SLOW))
        all_probes_answer(port)
        until(lambda: noted[Limit.BODIES] + noted[Limit.BODY_PLACE] == 26)
        assert http.call("GET", f"http://127.0.0.1:{port}/apis/v2beta1/experiments").status == 200
        assert calls.asked == ["/kubeflow.pipelines.backend.api.v2beta1.ExperimentService/ListExperiments"]


def test_a_slow_body_gives_its_place_to_another_one() -> None:
    calls = Calls()
    calls.answered.set_result(None)
    noted = Noted()
    with serving(LIMITS, calls, noted) as port, ExitStack() as stack:
        slow = [stack.enter_context(connected(port, SLOW)) for _ in range(4)]
        body = b'{"display_name": "x"}'
        given = b""

        def posts() -> bool:
            nonlocal given
            with connected(port, HEADERS + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)) as brisk:
                time.sleep(0.05)  # so that the headers come without the body
                with suppress(OSError):
                    brisk.sendall(body)
                given = answer(brisk)
            return given.startswith(b"HTTP/1.1 200")

        until(posts)
        assert b"HTTP/1.1 503" in slow[0].recv(1000)
        assert noted[Limit.BODY_PLACE] >= 1
        assert not is_closed(slow[3])


def test_bodies_that_came_a_moment_ago_give_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any sweep has found out that they are slow."""
    monkeypatch.setattr(bodies, "_SWEEP_SECONDS", 3600.0)
    calls, noted = Calls(), Noted()
    calls.answered.set_result(None)
    with serving(LIMITS, calls, noted) as port, ExitStack() as stack:
        slow = [stack.enter_context(connected(port, SLOW)) for _ in range(4)]
        all_probes_answer(port)
        time.sleep(0.2)  # over which they bring nothing
        body = b'{"display_name": "x"}'
        with connected(port, HEADERS + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)) as brisk:
            until(lambda: noted[Limit.BODY_PLACE] == 1)
            brisk.sendall(body)
            assert answer(brisk).startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 503" in slow[0].recv(1000)
        assert noted[Limit.BODIES] == 0


def test_a_body_slower_than_the_least_rate_is_ended() -> None:
    limits, noted = replace(LIMITS, slow_seconds=1.0, bytes_per_second=100), Noted()
    with serving(limits, noted=noted) as port, connected(port, SLOW) as slow:
        assert answer(slow).startswith(b"HTTP/1.1 408 ")
    assert noted == {Limit.BODY_RATE: 1}


def test_a_body_that_is_brisk_for_a_while_is_ended_too() -> None:
    """The rate is that of each period, so a large beginning buys no time."""
    with serving(replace(LIMITS, slow_seconds=1.0, bytes_per_second=100)) as port:
        head = HEADERS + b"Content-Length: 9000000\r\n\r\n" + b" " * 1_000_000
        with connected(port, head) as slow:
            assert answer(slow).startswith(b"HTTP/1.1 408 ")


def test_bodies_take_no_more_memory_than_there_is() -> None:
    limits = replace(LIMITS, body_bytes=1_000_000, body_bytes_per_address=1_000_000)
    noted = Noted()
    with serving(limits, noted=noted) as port, ExitStack() as stack:
        head = HEADERS + b"Content-Length: 900000\r\n\r\n" + b" " * 400_000
        holding = [stack.enter_context(connected(port, head)) for _ in range(3)]
        said = [holder for holder in holding if _says(holder, b"HTTP/1.1 503")]
        assert len(said) == 1
        # One that is slow by then gave way, or the last had no room.
        assert noted[Limit.BODY_MEMORY] + noted[Limit.BODY_PLACE] == 1


def _says(connection: socket.socket, beginning: bytes) -> bool:
    connection.settimeout(3)
    try:
        return connection.recv(100).startswith(beginning)
    except (TimeoutError, ConnectionResetError):
        return False


@pytest.mark.parametrize("sent", [b"GET /livez HTTP/1.1\r\nX-Slow: ", b"G"])
def test_headers_that_never_end(sent: bytes) -> None:
    limits = replace(LIMITS, header_seconds=1.0)
    noted = Noted()
    with serving(limits, noted=noted) as port, connected(port) as idle, connected(port, sent) as dribbling:
        assert answer(dribbling) == b""
        assert not is_closed(idle)
        assert noted == {Limit.HEADER_TIME: 1}


def test_headers_byte_by_byte_have_one_deadline() -> None:
    with serving(replace(LIMITS, header_seconds=1.0)) as port, connected(port, b"GET / HTTP/1.1\r\nX: ") as dribbling:
        end = time.monotonic() + 20
        with pytest.raises(OSError):
            while time.monotonic() < end:
                dribbling.sendall(b"x")
                time.sleep(0.1)


def test_idle_connections_are_closed() -> None:
    limits, noted = replace(LIMITS, idle_seconds=1.0), Noted()
    with serving(limits, noted=noted) as port, connected(port) as idle, connected(port) as used:
        used.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(used).startswith(b"HTTP/1.1 200")
        assert answer(idle) == b""
        # The web server may be the first to end one that had a request.
        assert noted[Limit.IDLE] >= 1


def test_connections_that_wait_give_way_the_oldest_first() -> None:
    noted = Noted()
    with serving(LIMITS, noted=noted) as port, ExitStack() as stack:
        held = [stack.enter_context(connected(port, b"GET" if number % 2 else b"")) for number in range(60)]
        all_probes_answer(port)
        until(lambda: all(is_closed(one) for one in held[:20]))
        assert not any(is_closed(one) for one in held[-10:])
        assert noted[Limit.CONNECTION_PLACE] >= 20


def test_requests_under_way_are_bounded_and_keep_their_connections() -> None:
    calls, noted = Calls(), Noted()
    with serving(LIMITS, calls, noted) as port, ExitStack() as stack:
        get = b"GET /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\n\r\n"
        working = [stack.enter_context(connected(port, get)) for _ in range(4)]
        until(lambda: len(calls.asked) == 4)
        refused = stack.enter_context(connected(port, get))
        said = refused.recv(1000)
        assert said.startswith(b"HTTP/1.1 503") and b"Retry-After: 1" in said
        assert noted == {Limit.REQUESTS: 1}
        for _ in range(60):
            stack.enter_context(connected(port))
        all_probes_answer(port)
        calls.answered.set_result(None)
        for one in working:
            assert one.recv(100).startswith(b"HTTP/1.1 200")


def test_a_request_of_a_client_that_is_gone_frees_its_place() -> None:
    calls = Calls()
    with serving(LIMITS, calls) as port:
        get = b"GET /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for count in range(1, 9):
            with connected(port, get):
                until(lambda expected=count: len(calls.asked) == expected)


def test_a_reply_that_nobody_reads_is_ended() -> None:
    """OpenAPI documents, asked for in one go on a connection whose other end takes none of them."""
    limits, noted = replace(LIMITS, slow_seconds=1.0), Noted()
    with serving(limits, noted=noted) as port, connected(port) as deaf:
        deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30)
        until(lambda: _is_cut_off(deaf))
    assert noted[Limit.REPLY_RATE] == 1


def test_a_connection_without_a_place_is_closed_and_counted() -> None:
    calls, noted = Calls(), Noted()
    with serving(replace(LIMITS, connections=3, connections_per_address=3), calls, noted) as port, ExitStack() as stack:
        get = b"GET /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(3):
            stack.enter_context(connected(port, get))
        until(lambda: len(calls.asked) == 3)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as refused:
            assert answer(refused) == b""
        until(lambda: noted == {Limit.CONNECTIONS: 1})


def _is_cut_off(connection: socket.socket) -> bool:
    """Whether the other end has reset: writing fails then, without anything being read."""
    try:
        connection.send(b"\r\n")
    except OSError:
        return True
    return False


def test_probes_on_an_address_of_their_own() -> None:
    app = probes_app(lambda: b"figures", list)
    gateway = GatewayServer([Site(app, "127.0.0.1", 0)])
    try:
        base = f"http://127.0.0.1:{gateway.start()[0]}"
        assert http.call("GET", f"{base}/metrics").body == b"figures"
        assert http.call("GET", f"{base}/livez").status == 200
        assert http.call("GET", f"{base}/readyz").status == 200
        assert http.call("GET", f"{base}/apis/v2beta1/runs").status == 404
    finally:
        gateway.stop(5)


def test_calls_carry_the_peer() -> None:
    calls = Calls()
    calls.answered.set_result(None)
    with serving(LIMITS, calls) as port, connected(port) as connection:
        connection.sendall(b"GET /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer(connection)
        assert calls.peers == [connection.getsockname()]


def test_a_compressed_body_counts_unpacked() -> None:
    noted = Noted()
    with serving(LIMITS, noted=noted) as port:
        packed = gzip.compress(b" " * (65 << 20))
        assert len(packed) < 100_000
        head = HEADERS + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        with connected(port, head + packed) as bomb:
            assert answer(bomb).startswith(b"HTTP/1.1 413 ")
    assert noted == {Limit.BODY_SIZE: 1}
