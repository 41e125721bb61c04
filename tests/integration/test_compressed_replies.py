"""Large replies are compressed for who takes it, over REST, gRPC-Web and gRPC, and are the same otherwise."""

from __future__ import annotations

import gzip
import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import grpc
import pytest
import zstandard
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2, run_pb2_grpc

from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.fixture(scope="module")
def run_id(client: Client) -> str:
    """Of a run that says much of little."""
    spec = specs.chain({f"step-{number}": ["true"] for number in range(3)})
    new = run_pb2.Run(display_name="large", description="so much. " * 2_000)
    new.pipeline_spec.update(spec)
    made = client.runs.CreateRun(run_pb2.CreateRunRequest(run=new))
    runs.finished(client, made.run_id)
    return str(made.run_id)


def asked(
    up: Embedded, path: str, accepted: str | None, verb: str = "GET", body: bytes | None = None, kind: str = ""
) -> tuple[http.client.HTTPResponse, bytes]:
    """Without any header that is not named here."""
    connection = http.client.HTTPConnection(urlsplit(up.http).netloc, timeout=60)
    connection.putrequest(verb, path, skip_accept_encoding=True)
    if accepted is not None:
        connection.putheader("Accept-Encoding", accepted)
    if body is not None:
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply, content


@pytest.mark.parametrize("path", ["/apis/v2beta1/runs/{run_id}", "/apis/v2beta1/runs", "/openapi.json"])
def test_over_rest(up: Embedded, run_id: str, path: str) -> None:
    path = path.format(run_id=run_id)
    plain, whole = asked(up, path, None)
    assert plain.getheader("Content-Encoding") is None
    assert plain.getheader("Vary") == "Accept-Encoding"
    reply, content = asked(up, path, "gzip, deflate, br")
    assert reply.getheader("Content-Encoding") == "gzip"
    assert reply.getheader("Content-Length") == str(len(content))
    assert gzip.decompress(content) == whole
    assert len(content) * 3 < len(whole)
    assert reply.getheader("ETag") == plain.getheader("ETag")
    reply, content = asked(up, path, "gzip, deflate, br, zstd")
    assert reply.getheader("Content-Encoding") == "zstd"
    assert zstandard.ZstdDecompressor().decompress(content) == whole
    assert reply.getheader("ETag") == plain.getheader("ETag")
    refused, same = asked(up, path, "gzip;q=0")
    assert (refused.getheader("Content-Encoding"), same) == (None, whole)
    head, nothing = asked(up, path, "gzip", verb="HEAD")
    assert (head.getheader("Content-Encoding"), nothing) == ("gzip", b"")


def test_small_replies_are_as_they_are(up: Embedded) -> None:
    reply, _ = asked(up, "/apis/v2beta1/experiments?page_size=1", "gzip")
    assert reply.getheader("Content-Encoding") is None


def test_over_grpc_web(up: Embedded, client: Client, run_id: str) -> None:
    message = run_pb2.GetRunRequest(run_id=run_id).SerializeToString()
    call = "/kubeflow.pipelines.backend.api.v2beta1.RunService/GetRun"
    body = struct.pack(">BI", 0, len(message)) + message
    kind = "application/grpc-web+proto"
    plain, whole = asked(up, call, None, "POST", body, kind)
    reply, content = asked(up, call, "gzip", "POST", body, kind)
    assert plain.getheader("Content-Encoding") is None
    assert reply.getheader("Content-Encoding") == "gzip"
    assert gzip.decompress(content) == whole
    _, content = asked(up, call, "gzip;q=0.9, zstd", "POST", body, kind)
    assert zstandard.ZstdDecompressor().decompress(content) == whole
    (length,) = struct.unpack(">I", whole[1:5])
    assert run_pb2.Run.FromString(whole[5 : 5 + length]) == client.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))
    assert whole[5 + length] == 0x80


def test_logs_are_sent_as_they_come(up: Embedded, run_id: str) -> None:
    reply, _ = asked(up, f"/apis/v2beta1/runs/{run_id}/nodes/step-0/log", "gzip, zstd")
    assert (reply.status, reply.getheader("Content-Encoding")) == (200, None)


class Counted:
    """Connections to an address, and how many bytes came back over them."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.received = 0
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._open.append(near)
                far = socket.create_connection(self._to)
                self._open.append(far)
                for ends in ((near, far, False), (far, near, True)):
                    self._threads.append(threading.Thread(target=self._pump, args=ends))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.received += len(data) if counts else 0
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        # Whoever waits in accept or recv hears of this, and not of a close.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._open):
            one.close()


@contextmanager
def counted(address: str) -> Iterator[Counted]:
    made = Counted(address)
    try:
        yield made
    finally:
        made.close()


def test_over_grpc_by_metadata(up: Embedded, run_id: str) -> None:
    request = run_pb2.GetRunRequest(run_id=run_id)
    with counted(up.grpc) as wire, grpc.insecure_channel(wire.address) as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        whole = stub.GetRun(request)
        plain = wire.received
        same = stub.GetRun(request, metadata=(("accept-encoding", "gzip"),))
        compressed = wire.received - plain
        # A request may be compressed as well.
        sent = stub.GetRun(request, compression=grpc.Compression.Gzip)
    assert whole == same == sent
    assert compressed * 3 < plain


def test_streams_over_grpc_by_metadata(client: Client, run_id: str) -> None:
    request = insight_pb2.ReadEventLogRequest(run_id=run_id)
    plain = [chunk.data for chunk in client.insight.ReadEventLog(request)]
    asked_for = client.insight.ReadEventLog(request, metadata=(("accept-encoding", "gzip"),))
    assert [chunk.data for chunk in asked_for] == plain
