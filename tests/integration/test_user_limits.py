"""A real server with limits for one user: over gRPC, REST and gRPC-Web alike, and nobody else is touched."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue
from typing import Any

import grpc
import kfp
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from penstock.client import Client
from penstock_api.v1 import access_pb2, insight_pb2
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc

from tests.support.http import call, send_file
from tests.support.replicas import Replicas

CALLS, BURST = 5, 50
STREAMS = 2
UPLOAD_BYTES = 1 << 20
ROLES = """
roles:
  - {role: admin, namespaces: ["*"], groups: [everybody]}
  - {role: admin, namespaces: ["*"], users: [auditor, patient, sdk]}
"""
V2 = "/kubeflow.pipelines.backend.api.v2beta1"
INSIGHT = "/penstock.v1.InsightService"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("limits")
    (directory / "roles.yaml").write_text(ROLES)
    environment = {
        "KUBECONFIG": "",
        "PENSTOCK_AUTH": "kubeflow tokens",
        "PENSTOCK_ROLE_FILE": str(directory / "roles.yaml"),
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.1/32",
        "PENSTOCK_MAX_CALLS_PER_USER": str(CALLS),
        "PENSTOCK_MAX_STREAMS_PER_USER": str(STREAMS),
        "PENSTOCK_MAX_UPLOAD_BYTES_PER_USER": str(UPLOAD_BYTES),
    }
    url = f"sqlite:///{directory}/penstock.db"
    with Replicas(directory, url, servers=1, executors=0, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server: Replicas) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.addresses[0]) as made:
        yield made


def shown(user: str) -> dict[str, str]:
    return {"kubeflow-userid": user, "kubeflow-groups": "everybody"}


def token(server: Replicas, user: str, role: str = "viewer") -> str:
    database = f"sqlite:///{server.directory}/penstock.db"
    command = [sys.executable, "-m", "penstock_server.main", "tokens", "--database", database, "create", "test"]
    words = [*command, "--user", user, "--role", role]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def over_rest(server: Replicas, channel: grpc.Channel, user: str) -> str:
    reply = call("GET", f"{server.http[0]}/apis/v2beta1/experiments", headers=shown(user))
    return {200: "OK", 429: "RESOURCE_EXHAUSTED"}[reply.status]


def over_grpc(server: Replicas, channel: grpc.Channel, user: str) -> str:
    stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
    try:
        stub.ListExperiments(experiment_pb2.ListExperimentsRequest(), metadata=tuple(shown(user).items()), timeout=30)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def over_grpc_web(server: Replicas, channel: grpc.Channel, user: str) -> str:
    return from_browser(server, f"{V2}.ExperimentService/ListExperiments", b"", user)


def from_browser(server: Replicas, path: str, message: bytes, user: str) -> str:
    """The status in the trailers."""
    body = struct.pack(">BI", 0, len(message)) + message
    kind = "application/grpc-web+proto"
    reply = call("POST", server.http[0] + path, data=body, content_type=kind, headers=shown(user))
    assert reply.status == 200
    code = reply.body.rpartition(b"grpc-status:")[2].partition(b"\r\n")[0]
    return next(one.name for one in grpc.StatusCode if one.value[0] == int(code))


Way = Callable[[Replicas, grpc.Channel, str], str]
WAYS = {"rest": over_rest, "grpc": over_grpc, "grpc-web": over_grpc_web}


def flooded(server: Replicas, channel: grpc.Channel, way: Way, user: str) -> None:
    """The user's calls until one is refused."""
    until = time.monotonic() + 60
    while way(server, channel, user) == "OK":
        assert time.monotonic() < until, "nothing is refused"


@pytest.mark.parametrize("name", list(WAYS))
def test_who_floods_one_way_is_refused_every_way_and_others_are_served(
    server: Replicas, channel: grpc.Channel, name: str
) -> None:
    flooder, other = f"flooder-{name}", f"other-{name}"
    flooded(server, channel, WAYS[name], flooder)
    for way in WAYS.values():
        flooded(server, channel, way, flooder)
        assert way(server, channel, other) == "OK"


def test_all_ways_together_give_what_one_gives(server: Replicas, channel: grpc.Channel) -> None:
    began = time.monotonic()
    answers = [way(server, channel, "together") for _ in range(40) for way in WAYS.values()]
    at_most = BURST + CALLS * (time.monotonic() - began) + 1
    assert BURST <= answers.count("OK") <= at_most
    assert set(answers) == {"OK", "RESOURCE_EXHAUSTED"}


def test_the_reply_says_which_limit_and_when_to_come_back(server: Replicas, channel: grpc.Channel) -> None:
    url = f"{server.http[0]}/apis/v2beta1/experiments"
    for _ in range(BURST * 20):
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=shown("curious")), timeout=30).close()
        except urllib.error.HTTPError as refused:
            with refused:
                document, after = json.loads(refused.read()), refused.headers["Retry-After"]
            assert (refused.code, after, document["code"]) == (429, "1", 8)
            assert f"more than {CALLS} calls a second (--max-calls-per-user" in document["message"]
            kinds = [detail["@type"].rpartition(".")[2] for detail in document["details"]]
            assert kinds == ["Status", "RetryInfo"]
            break
    else:
        raise AssertionError("nothing is refused")
    metrics = call("GET", f"{server.http[0]}/metrics").body.decode()
    assert 'penstock_limit_refusals_total{limit="user_calls",port="public"}' in metrics
    assert "curious" not in metrics


def test_no_refusal_for_its_number_is_in_the_audit_log(server: Replicas, channel: grpc.Channel) -> None:
    flooded(server, channel, over_grpc, "unaudited")
    # What is refused for a right that is missing is, so lines are written.
    reply = call("GET", f"{server.http[0]}/apis/v2beta1/experiments", headers={"kubeflow-userid": "powerless"})
    assert reply.status == 403
    with Client(server.addresses[0], token=token(server, "auditor", "admin")) as client:
        until = time.monotonic() + 30
        users: set[str] = set()
        while "powerless" not in users:
            assert time.monotonic() < until, users
            lines = client.list_audit_events(access_pb2.ListAuditEventsRequest())
            users = {line.user for line in lines}
    assert "unaudited" not in users


def test_uploads_are_bounded_by_their_bytes(server: Replicas, channel: grpc.Channel) -> None:
    def upload(user: str, size: int) -> int:
        url = f"{server.http[0]}/apis/v2beta1/pipelines/upload?name=x"
        # No pipeline, so it is refused as such after it was counted.
        return send_file(url, b"x" * size, "p.yaml", shown(user)).status

    assert upload("uploader", UPLOAD_BYTES // 2) == 400
    # More than is left: let pass, and owed for a minute.
    assert upload("uploader", UPLOAD_BYTES * 3 // 2) == 400
    assert upload("uploader", 10) == 429
    assert over_grpc(server, channel, "uploader") == "RESOURCE_EXHAUSTED"
    assert upload("other", UPLOAD_BYTES // 2) == 400


def test_streams_are_bounded_and_free_when_their_client_goes(server: Replicas, channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    missing = "/artifacts/get?source=minio&bucket=b&key=k"

    def opened(stack: ExitStack, user: str) -> None:
        messages: Queue[Any] = Queue()
        messages.put(asked)
        stream = stub.ServerReflectionInfo(iter(messages.get, None), metadata=tuple(shown(user).items()))
        stack.callback(messages.put, None)
        stack.callback(stream.cancel)
        assert next(stream).list_services_response

    def downloaded(user: str) -> tuple[int, str]:
        message = insight_pb2.ReadObjectRequest(uri="minio://b/k").SerializeToString()
        rest = call("GET", server.http[0] + missing, headers=shown(user)).status
        return rest, from_browser(server, f"{INSIGHT}/ReadObject", message, user)

    with ExitStack() as stack:
        for _ in range(STREAMS):
            opened(stack, "streamer")
        assert downloaded("streamer") == (429, "RESOURCE_EXHAUSTED")
        with pytest.raises(grpc.RpcError) as refused:
            opened(stack, "streamer")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        free = downloaded("somebody else")
        assert 429 not in free and "RESOURCE_EXHAUSTED" not in free
        assert over_grpc(server, channel, "streamer") == "OK"
    until = time.monotonic() + 60
    while downloaded("streamer") != free:
        assert time.monotonic() < until, "the streams are not free"
        # Slower than the limit of calls.
        time.sleep(2 / CALLS)


def test_clients_wait_and_are_served(server: Replicas) -> None:
    """More calls at once than a burst has: none fails. Upstream's SDK waits too, for what it reads."""
    with Client(server.addresses[0], token=token(server, "patient")) as client:
        for _ in range(BURST + 2 * CALLS):
            client.call(client.experiments.ListExperiments, experiment_pb2.ListExperimentsRequest())
    sdk = kfp.Client(host=server.http[0], existing_token=token(server, "sdk"))
    for _ in range(BURST + 2 * CALLS):
        sdk.list_experiments()
    metrics = call("GET", f"{server.http[0]}/metrics").body.decode()
    assert 'penstock_limit_refusals_total{limit="user_calls",port="public"}' in metrics
