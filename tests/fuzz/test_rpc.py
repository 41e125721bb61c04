"""Any request is answered or refused with a message, never with INTERNAL, a stack trace or SQL.

Messages are made from what reflection tells of their types; some name objects that exist; some are changed byte by byte
after they were encoded. `RPC_FUZZ_SECONDS` sets for how long, with new messages every time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.client import Client
from penstock_server.rpc.metadata_store import SERVICE as METADATA
from penstock_server.rpc.server import SERVICES

from tests.support import http
from tools.embedded import Embedded
from tools.fuzz.messages import messages
from tools.testing import runs, specs

SECONDS = float(os.environ.get("RPC_FUZZ_SECONDS", "0"))
PATHS = [
    f"/{service.full_name}/{method.name}"
    for service in (
        *map(descriptor_pool.Default().FindServiceByName, SERVICES),
        METADATA,
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    )
    for method in service.methods
]
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
UNFORESEEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE)
LEAKS = ("Traceback", "sqlalchemy", "SELECT ", "INSERT INTO", "UPDATE `", "site-packages", "Exception")
Methods = dict[str, MethodDescriptor]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """A server of its own: what is sent may delete anything."""
    with Embedded(tmp_path_factory.mktemp("fuzzed"), "--parallelism", "2", environments=environments) as up:
        yield up


@pytest.fixture(scope="module")
def channel(fuzzed: Embedded) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(fuzzed.grpc) as opened:
        yield opened


@pytest.fixture(scope="module")
def methods(channel: grpc.Channel) -> Methods:
    """By service and name, of all that reflection knows."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    found = {
        f"/{service}/{method.name}": method
        for service in database.get_services()
        if service != REFLECTION
        for method in pool.FindServiceByName(service).methods
    }
    assert sorted(found) == sorted(PATHS), "what is fuzzed is all that there is"
    return found


@pytest.fixture(scope="module")
def names(fuzzed: Embedded) -> list[str]:
    """What objects are called that exist, as long as no message deletes them."""
    spec = specs.container(["echo", "fuzzed"])
    pipeline = http.upload(fuzzed.http, json.dumps(spec).encode(), name="fuzzed").json
    api = f"{fuzzed.http}/apis/v2beta1"
    (version,) = http.call("GET", f"{api}/pipelines/{pipeline['pipeline_id']}/versions").json["pipeline_versions"]
    (experiment,) = http.call("GET", f"{api}/experiments").json["experiments"]
    schedule = {"display_name": "fuzzed", "max_concurrency": "1", "mode": "DISABLE", "trigger": {}}
    recurring = http.call("POST", f"{api}/recurringruns", {**schedule, "pipeline_spec": spec}).json
    with Client(fuzzed.grpc) as client:
        run_id = runs.start(client, spec)
        runs.finished(client, run_id)
        pods = [task.pod_name for task in runs.tasks(client, run_id).values() if task.pod_name]
    ids = (pipeline["pipeline_id"], version["pipeline_version_id"], experiment["experiment_id"])
    return [run_id, *pods, *ids, recurring["recurring_run_id"], "only", "fuzzed", "system.DAGExecution"]


@st.composite
def sent(draw: st.DrawFn, method: MethodDescriptor, names: list[str]) -> bytes:
    message = draw(messages(method.input_type))
    for field in method.input_type.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and draw(st.booleans()):
            setattr(message, field.name, draw(st.sampled_from(names)))
    if method.name == "ClaimRuns":
        message.wait_millis = 0
        message.max_runs = 1
    if method.name == "ReadLog":
        message.follow = False
    data: bytes = message.SerializeToString()
    if method.name in ("ClaimRuns", "ReadLog"):
        return data
    return draw(st.one_of(st.just(data), changed(data)))


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
        piece = draw(st.one_of(st.binary(max_size=8), st.just(data[at : at + length] * 2)))
        data = data[:at] + piece + data[at + length :]
    return data


@pytest.mark.parametrize("path", PATHS)
def test_any_message(channel: grpc.Channel, fuzzed: Embedded, methods: Methods, names: list[str], path: str) -> None:
    method = methods[path]
    call = (channel.unary_stream if method.server_streaming else channel.unary_unary)(path, bytes, bytes)

    @settings(
        max_examples=10 if SECONDS else 25,
        deadline=None,
        derandomize=not SECONDS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=sent(method, names))
    def check(data: bytes) -> None:
        try:
            # A watch is a stream that the caller ends.
            answer = call(data, timeout=0.2 if method.name == "Watch" else 20)
            if method.server_streaming:
                list(answer)
        except grpc.RpcError as error:
            assert error.code() not in UNFORESEEN, f"{error.code()}: {error.details()}"
            assert not any(leak in (error.details() or "") for leak in LEAKS), error.details()

    until = time.monotonic() + SECONDS / len(PATHS)
    check()
    while time.monotonic() < until:
        check()
    assert fuzzed.child("penstock_server").is_running()


@pytest.mark.parametrize("path", [*PATHS, f"/{REFLECTION}/ServerReflectionInfo"])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\xff", b"\x0b"], ids=bytes.hex)
def test_what_is_no_message(channel: grpc.Channel, path: str, data: bytes) -> None:
    """Where grpc itself would say INTERNAL."""
    if path.endswith("/ServerReflectionInfo"):
        replies = channel.stream_stream(path, bytes, bytes)(iter([data]), timeout=20)
    else:
        replies = channel.unary_stream(path, bytes, bytes)(data, timeout=20)
    with pytest.raises(grpc.RpcError) as refused:
        list(replies)
    # The metadata library has methods of which nothing but the name is known.
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)
