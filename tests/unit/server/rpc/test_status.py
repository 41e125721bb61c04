"""Every foreseen error as callers see it, over gRPC and over REST (api.md §2.2): code, HTTP status, message, detail.

Why both at once: a gateway that calls the server in its own process never sees what goes over gRPC's wire, so that one
is right says nothing of the other. Invariants: the table names every class of error that there is, so a new one fails
until it has a row; it agrees with the contract's table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc
from penstock_ir import errors as ir_errors
from penstock_server import errors
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc.server import Services, build_server, public_services
from penstock_server.telemetry import Telemetry

from tests.support import http

# aiohttp warns once of keys that are texts; the oldest version that we take knows no others.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")

CONTRACT = Path(__file__).resolve().parents[4] / "docs" / "contract" / "api.md"
PROBLEM = ir_errors.Problem("root.dag", "it has no tasks")

# The error, its code, its HTTP status, and what the caller reads.
TABLE: list[tuple[Exception, int, int, str]] = [
    (errors.InvalidArgumentError("too long", "run.name"), code_pb2.INVALID_ARGUMENT, 400, "run.name: too long"),
    (ir_errors.InvalidSpecError([PROBLEM]), code_pb2.INVALID_ARGUMENT, 400, "root.dag: it has no tasks"),
    (ir_errors.TooManyValuesError([PROBLEM]), code_pb2.INVALID_ARGUMENT, 400, "root.dag: it has no tasks"),
    (ir_errors.InvalidParametersError([PROBLEM]), code_pb2.INVALID_ARGUMENT, 400, "root.dag: it has no tasks"),
    (ir_errors.ExpressionError("it does not parse"), code_pb2.INVALID_ARGUMENT, 400, "it does not parse"),
    (errors.NotFoundError("Run", "x"), code_pb2.NOT_FOUND, 404, "Run 'x' not found"),
    (
        errors.ConcealedError("Run", "x", resource="runs", verb="get"),
        code_pb2.NOT_FOUND,
        404,
        "Run 'x' not found",
    ),
    (errors.AlreadyExistsError("it is taken"), code_pb2.ALREADY_EXISTS, 409, "it is taken"),
    (errors.FailedPreconditionError("not yet"), code_pb2.FAILED_PRECONDITION, 400, "not yet"),
    (errors.AbortedError("it did not fail"), code_pb2.ABORTED, 409, "it did not fail"),
    (errors.UnavailableError("it is away"), code_pb2.UNAVAILABLE, 503, "it is away"),
    (errors.ResourceExhaustedError("too many"), code_pb2.RESOURCE_EXHAUSTED, 429, "too many"),
    (errors.UnimplementedError("no such thing"), code_pb2.UNIMPLEMENTED, 501, "no such thing"),
    (errors.PermissionDeniedError("not yours"), code_pb2.PERMISSION_DENIED, 403, "not yours"),
    (errors.UnauthenticatedError("who are you"), code_pb2.UNAUTHENTICATED, 401, "who are you"),
    (errors.NoCredentialsError("say who you are"), code_pb2.UNAUTHENTICATED, 401, "say who you are"),
    (KeyError("a secret"), code_pb2.INTERNAL, 500, "Internal Server Error (request the-call)"),
]  # fmt: skip


class Failing:
    """Stands for the service of experiments: whatever is asked for fails."""

    def __init__(self) -> None:
        self.error: Exception = KeyError()

    def get(self, experiment_id: str) -> Any:
        raise self.error


class Server:
    """The gRPC server and the gateway as they are, around a service that fails."""

    def __init__(self) -> None:
        self.service = Failing()
        unused: Any = None
        others = dict.fromkeys(Services.__dataclass_fields__, unused)
        services = Services(**{**others, "experiments": self.service})
        running = build_server(services, None, Telemetry(lambda: (0, 0)))
        self.grpc = f"127.0.0.1:{running.server.add_insecure_port('127.0.0.1:0')}"
        running.server.start()
        app = create_app(running.local, GatewaySettings(services=public_services()))
        self._running, self._gateway = running, GatewayServer([Site(app, "127.0.0.1", 0)])
        self.http = f"http://127.0.0.1:{self._gateway.start()[0]}"

    def stop(self) -> None:
        self._gateway.stop(0)
        self._running.local.close()
        self._running.server.stop(None).wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.mark.parametrize(("error", "code", "status", "message"), TABLE, ids=[type(row[0]).__name__ for row in TABLE])
def test_an_error_over_grpc_and_rest(server: Server, error: Exception, code: int, status: int, message: str) -> None:
    server.service.error = error
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        experiment_pb2_grpc.ExperimentServiceStub(channel).GetExperiment(
            experiment_pb2.GetExperimentRequest(experiment_id="x"), timeout=30, metadata=(("x-request-id", "the-call"),)
        )
    failed = cast(grpc.Call, caught.value)
    assert (failed.code().value[0], failed.details()) == (code, message)
    trailing = dict(failed.trailing_metadata() or ())
    sent = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    assert (sent.code, sent.message) == (code, message)
    (detail,) = sent.details
    unpacked = status_pb2.Status()
    assert detail.Unpack(unpacked)
    assert (unpacked.code, unpacked.message) == (code, message)

    reply = http.call("GET", f"{server.http}/apis/v2beta1/experiments/x", headers={"X-Request-Id": "the-call"})
    assert reply.status == status
    assert json_format.ParseDict(reply.json, status_pb2.Status()) == sent


def test_every_error_has_a_row() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    ours = below(errors.PenstockError) - {errors.PenstockError}
    documents = {one for one in vars(ir_errors).values() if isinstance(one, type) and issubclass(one, Exception)}
    assert {type(error) for error, *_ in TABLE} == ours | documents | {KeyError}


def test_the_contract_says_the_same() -> None:
    section = CONTRACT.read_text().split("\n### 2.2 ")[1].split("\n### ")[0]
    told = {
        (int(code), name, int(status))
        for code, name, status in re.findall(r"^\| (\d+) (\w+) \| (\d+) \|", section, re.M)
    }
    # A deadline is no error of ours: gRPC and the gateway say when it has passed.
    told -= {(code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504)}
    assert told == {(code, code_pb2.Code.Name(cast(Any, code)), status) for _, code, status, _ in TABLE}
