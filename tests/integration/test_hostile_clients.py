"""Hostile clients, which stall, flood or send false data: other clients are not affected."""

from __future__ import annotations

import base64
import json
import resource
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import pytest
from penstock.client import Client, ClientError
from penstock_api.v1 import insight_pb2, insight_pb2_grpc, upload_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

UPLOAD = "/apis/v2beta1/pipelines/upload"


def connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").rsplit(":", 1)
    made = socket.create_connection((host, int(port)), timeout=60)
    made.settimeout(60)
    return made


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes; nothing when it resets."""
    content = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            content += chunk
    return content


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections(own: Embedded) -> None:
    """Five hundred on each port, half of them with a request that never ends."""
    with ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(connected(own.http if number % 2 else own.grpc))
            if number % 4 == 1:
                connection.sendall(b"GET /apis/v2beta1/runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            elif number % 4 == 2:
                connection.sendall(b"PRI * HTTP/2.0\r\n")
        with Client(own.grpc) as client:
            for _ in range(20):
                client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(), 5)
                assert http.call("GET", f"{own.http}/apis/v2beta1/runs").status == 200
    assert http.call("GET", f"{own.http}/readyz").status == 200


def test_uploads_that_are_cut_off_store_nothing(up: Embedded) -> None:
    name = f"cut-{uuid.uuid4().hex}"
    content = json.dumps(specs.container(["true"])).encode()
    body = b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.json"\r\n\r\n' + content
    head = (
        f"POST {UPLOAD}?name={name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) + 1000}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    ).encode()
    for sent in (head, head + body[:40], head + body[:-20], head + body):
        with connected(up.http) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 " not in answer(connection)[:20]
    assert http.call("GET", f"{up.http}/apis/v2beta1/pipelines/names/{name}").status == 404


def test_an_upload_byte_by_byte_arrives(up: Embedded) -> None:
    """Slow is not hostile by itself, and holds up nobody."""
    name = f"slow-{uuid.uuid4().hex}"
    content = json.dumps(specs.container(["true"])).encode()
    body = (
        b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.json"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )
    head = (
        f"POST {UPLOAD}?name={name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    ).encode()
    with connected(up.http) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(head + body), 3):
            connection.sendall((head + body)[start : start + 3])
        assert answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines",
    [
        [f"X-H{number}: {'v' * 50}" for number in range(5000)],
        ["X-Long: " + "v" * 1_000_000],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Transfer-Encoding: chunked", "Content-Length: 3"],
        ["X-Request-Id: " + "\u202e".encode().decode("latin-1") * 100],
        ["Grpc-Timeout: 99999999H", "Authorization: \x01\x02"],
        ["Bad Name: x"],
    ],
)
def test_hostile_headers(up: Embedded, lines: list[str]) -> None:
    request = "\r\n".join(["GET /apis/v2beta1/runs HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""])
    with connected(up.http) as connection:
        # The server may answer and close before everything is sent.
        sender = threading.Thread(target=lambda: _send(connection, request.encode("latin-1")))
        sender.start()
        said = answer(connection)
        sender.join()
    assert said[9:12] in (b"", b"200", b"400", b"431"), said[:200]
    assert b"Traceback" not in said
    assert http.call("GET", f"{up.http}/apis/v2beta1/runs").status == 200


def _send(connection: socket.socket, content: bytes) -> None:
    with suppress(OSError):
        connection.sendall(content)


def test_messages_that_are_too_large(up: Embedded) -> None:
    with Client(up.grpc) as client:
        request = upload_pb2.UploadPipelineRequest(content=b"x" * (40 << 20), file_name="p.yaml", name="n")
        with pytest.raises(ClientError) as refused:
            client.call(client.uploads.UploadPipeline, request)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    with grpc.insecure_channel(up.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        call: Any = channel.unary_unary("/penstock.v1.PipelineUploadService/UploadPipeline", bytes, bytes)
        with pytest.raises(grpc.RpcError) as too_large:
            call(b"x" * (129 << 20), timeout=60)
        assert too_large.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_client_that_goes_away_ends_its_stream(up: Embedded) -> None:
    """A log that is followed is not followed for nobody."""
    with Client(up.grpc) as client:
        request = run_pb2.CreateRunRequest()
        request.run.display_name = "followed"
        request.run.pipeline_spec.update(specs.container(["sh", "-c", "echo said; sleep 60"]))
        run_id = client.call(client.runs.CreateRun, request).run_id
        path = f"/apis/v2beta1/runs/{run_id}/nodes/only/log?follow=true"
        before = http.under_way(up.http, "ReadLog")
        with connected(up.http) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert http.under_way(up.http, "ReadLog") == before + 1
        runs.until(lambda: http.under_way(up.http, "ReadLog"), lambda now: now == before)
        client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))


def test_followers_of_logs_leave_room_for_others(own: Embedded) -> None:
    """As many as the server has threads, over both ports, hold none of them."""
    with Client(own.grpc) as client, ExitStack() as stack:
        request = run_pb2.CreateRunRequest()
        request.run.display_name = "followed"
        request.run.pipeline_spec.update(specs.container(["sh", "-c", "echo said; sleep 60"]))
        run_id = client.call(client.runs.CreateRun, request).run_id
        path = f"/apis/v2beta1/runs/{run_id}/nodes/only/log"
        channel = stack.enter_context(grpc.insecure_channel(own.grpc))
        stub = insight_pb2_grpc.InsightServiceStub(channel)
        follow = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only", follow=True)
        statuses = []
        for number in range(100):
            connection = stack.enter_context(connected(own.http))
            connection.sendall(f"GET {path}?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            statuses.append(connection.recv(100)[9:12])
            stack.callback(stub.ReadLog(follow).cancel)
            if number % 20 == 0:
                client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(), 5)
                assert http.call("GET", f"{own.http}/apis/v2beta1/runs").status == 200
        assert set(statuses) == {b"200"}
        client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/p.yaml",
        "https://localhost:8888/p.yaml",
        "https://[::1]/p.yaml",
        "https://github.com@127.0.0.1/p.yaml",
        "https://127.0.0.1#github.com/p.yaml",
        "https://github.com:22/p.yaml",
        "file:///etc/passwd",
        "ftp://github.com/p.yaml",
        "https://0x7f000001/p.yaml",
        "gopher://github.com/",
        "https://evil.example/github.com/p.yaml",
        "//github.com/p.yaml",
        "https://github.com\\@127.0.0.1/",
    ],
)
def test_packages_are_not_fetched_from_inside(client: Client, url: str) -> None:
    request = pipeline_pb2.CreatePipelineAndVersionRequest()
    request.pipeline.name = uuid.uuid4().hex
    request.pipeline_version.package_url.pipeline_url = url
    with pytest.raises(ClientError) as refused:
        client.call(client.pipelines.CreatePipelineAndVersion, request)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "pipeline_url" in str(refused.value)


def test_forged_page_tokens(client: Client) -> None:
    def listed(token: str) -> experiment_pb2.ListExperimentsResponse:
        return client.call(client.experiments.ListExperiments, experiment_pb2.ListExperimentsRequest(page_token=token))

    good = {"listing": "experiments", "scope": "", "sort": "name", "desc": False, "filter": "", "value": "a", "id": "b"}
    listed(base64.b64encode(json.dumps(good).encode()).decode())
    for change in (
        {"sort": "password"}, {"sort": "created_at"}, {"value": 1}, {"value": ["a"]}, {"id": 1}, {"desc": 1},
        {"filter": "{"}, {"filter": '{"predicates": [{"key": "x"}]}'}, {"listing": "runs"}, {"value": None},
        {"sort": "name; DROP TABLE runs"},
    ):  # fmt: skip
        with pytest.raises(ClientError) as refused:
            listed(base64.b64encode(json.dumps({**good, **change}).encode()).decode())
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_package_limit_of_ones_own(tmp_path: Any) -> None:
    with Embedded(tmp_path, environment={"PENSTOCK_MAX_PACKAGE_MIB": "1"}) as small:
        spec = specs.container(["true"])
        assert http.upload(small.http, json.dumps(spec).encode(), file_name="p.json").status == 200
        spec["pipelineInfo"]["description"] = "x" * (1 << 20)
        refused = http.upload(small.http, json.dumps(spec).encode(), file_name="p.json")
        assert (refused.status, "1 MiB" in refused.json["error_message"]) == (413, True)


def test_a_large_document(up: Embedded) -> None:
    """Five megabytes, ten thousand tasks."""
    spec = specs.chain({f"task-{number:05}": ["echo", "x" * 250] for number in range(10_000)})
    content = json.dumps(spec).encode()
    assert len(content) > 5_000_000
    made = http.upload(up.http, content, file_name="p.json")
    assert made.status == 200, made.body[:300]
    versions = f"{up.http}/apis/v2beta1/pipelines/{made.json['pipeline_id']}/versions"
    found = http.call("GET", versions).json["pipeline_versions"][0]["pipeline_spec"]
    assert len(found["root"]["dag"]["tasks"]) == 10_000
