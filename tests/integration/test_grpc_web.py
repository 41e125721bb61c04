"""gRPC-Web, byte by byte."""

from __future__ import annotations

import base64
import struct
import urllib.error
import urllib.request

import pytest
from ml_metadata.proto import metadata_store_service_pb2 as mlmd
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs

LINEAGE = "/ml_metadata.MetadataStoreService"
RUNS = "/kubeflow.pipelines.backend.api.v2beta1.RunService"


def post(up: Embedded, path: str, body: bytes, kind: str = "application/grpc-web+proto") -> tuple[int, bytes]:
    request = urllib.request.Request(up.http + path, data=body, headers={"Content-Type": kind, "X-Grpc-Web": "1"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.headers["Content-Type"] == kind
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    messages: list[bytes] = []
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        content, body = body[5 : 5 + length], body[5 + length :]
        if flags == 0x80:
            assert not body, "the trailers are the last frame"
            lines = content.decode().split("\r\n")
            return messages, {name: value for name, _, value in (line.partition(":") for line in lines) if name}
        messages.append(content)
    raise AssertionError("there are no trailers")


def text_frames(body: bytes) -> bytes:
    """Frames are encoded one by one, so padding may stand in the middle."""
    found, rest = b"", body
    while rest:
        end = rest.find(b"=")
        cut = len(rest) if end < 0 else end + (2 if rest[end : end + 2] == b"==" else 1)
        found, rest = found + base64.b64decode(rest[:cut]), rest[cut:]
    return found


def test_lineage_of_a_run(up: Embedded, client: Client) -> None:
    run_id = runs.start(client, specs.container(["true"]))
    runs.finished(client, run_id)
    asked = mlmd.GetContextByTypeAndNameRequest(type_name="system.PipelineRun", context_name=run_id)
    for kind in ("application/grpc-web+proto", "application/grpc-web-text"):
        body = framed(asked.SerializeToString())
        text = kind.endswith("text")
        path = f"{LINEAGE}/GetContextByTypeAndName"
        status, answer = post(up, path, base64.b64encode(body) if text else body, kind)
        assert status == 200
        messages, trailers = frames(text_frames(answer) if text else answer)
        assert trailers["grpc-status"] == "0"
        context = mlmd.GetContextByTypeAndNameResponse.FromString(messages[0]).context
        assert context.name == run_id


def test_errors_are_in_the_trailers(up: Embedded) -> None:
    asked = run_pb2.GetRunRequest(run_id="nobödy %")
    status, answer = post(up, f"{RUNS}/GetRun", framed(asked.SerializeToString()))
    messages, trailers = frames(answer)
    assert (status, messages, trailers["grpc-status"]) == (200, [], "5")
    assert "nob%C3%B6dy %25" in trailers["grpc-message"]


def test_streams(up: Embedded, client: Client) -> None:
    run_id = runs.start(client, specs.container(["echo", "streamed"]))
    runs.finished(client, run_id)
    asked = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only")
    _, answer = post(up, "/penstock.v1.InsightService/ReadLog", framed(asked.SerializeToString()))
    messages, trailers = frames(answer)
    assert b"".join(insight_pb2.Chunk.FromString(one).data for one in messages) == b"streamed\n"
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        (f"{RUNS}/GetRun", b"", "application/grpc-web", 400),
        (f"{RUNS}/GetRun", b"\x00\x00\x00\x00\x09abc", "application/grpc-web", 400),
        (f"{RUNS}/GetRun", b"\x01\x00\x00\x00\x00", "application/grpc-web", 400),
        (f"{RUNS}/GetRun", b"no base64!", "application/grpc-web-text", 400),
        (f"{RUNS}/GetRun", framed(b""), "application/json", 415),
        (f"{RUNS}/Nothing", framed(b""), "application/grpc-web", 404),
        ("/penstock.internal.v1.DispatchService/ClaimRuns", framed(b""), "application/grpc-web", 404),
        ("/grpc.health.v1.Health/Check", framed(b""), "application/grpc-web", 404),
    ],
)
def test_what_is_none_is_refused(up: Embedded, path: str, body: bytes, kind: str, status: int) -> None:
    assert post(up, path, body, kind)[0] == status


def test_a_message_that_is_none(up: Embedded) -> None:
    _, answer = post(up, f"{RUNS}/GetRun", framed(b"\xff\xff\xff"))
    assert frames(answer)[1]["grpc-status"] != "0"
