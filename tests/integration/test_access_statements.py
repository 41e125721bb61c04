"""To ask who calls and what they may costs no question to the database once the answers are known.

Why statements are counted: a statement is the dearest step of a call, and their number is the same on every machine.
What is kept ends after seconds, so of several calls the one with the fewest statements counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import click
import pytest
from google.protobuf.message import Message
from penstock.settings import options, rows
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import experiment_pb2, run_pb2
from penstock_server.access.credentials import Credentials
from penstock_server.access_composition import build_access
from penstock_server.composition import build_services
from penstock_server.domain.caller import Caller
from penstock_server.rpc.local import LocalCalls
from penstock_server.rpc.server import build_server
from penstock_server.runtime import SystemClock
from penstock_server.services.tokens import NewToken
from penstock_server.settings import Settings
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry
from penstock_server.workers.pool import Workers
from penstock_store.config import StoreConfig

from tests.support.statements import statements
from tools.testing import specs

V2 = "/kubeflow.pipelines.backend.api.v2beta1"
USER, NAMESPACE = "ann@example.com", "team-a"
PACKAGE = json.dumps(specs.container(["true"])).encode()
DAY = 24 * 3_600_000
ASKING = ("--auth", "tokens", "--multi-user")


@dataclass
class Side:
    """A server, and one run in it."""

    calls: LocalCalls
    database: Database
    credentials: Credentials
    run: run_pb2.Run = field(default_factory=run_pb2.Run)
    numbers: Iterator[int] = field(default_factory=count)

    def call(self, method: str, request: Message) -> Any:
        future, _ = self.calls.unary(method, request, 60, (), self.credentials)
        return future.result(60)

    def fill(self) -> None:
        experiment = experiment_pb2.Experiment(display_name="training", namespace=NAMESPACE)
        made = self.call(
            f"{V2}.ExperimentService/CreateExperiment", experiment_pb2.CreateExperimentRequest(experiment=experiment)
        )
        upload = upload_pb2.UploadPipelineRequest(name="only", namespace=NAMESPACE, content=PACKAGE)
        pipeline = self.call("/penstock.v1.PipelineUploadService/UploadPipeline", upload)
        self.run.experiment_id = made.experiment_id
        self.run.pipeline_version_reference.pipeline_id = pipeline.pipeline_id
        self.run.CopyFrom(self.create())

    def create(self) -> Any:
        """Another run like the first."""
        request = run_pb2.CreateRunRequest()
        request.run.display_name = f"run {next(self.numbers)}"
        request.run.experiment_id = self.run.experiment_id
        request.run.pipeline_version_reference.CopyFrom(self.run.pipeline_version_reference)
        return self.call(f"{V2}.RunService/CreateRun", request)

    def get(self) -> Any:
        return self.call(f"{V2}.RunService/GetRun", run_pb2.GetRunRequest(run_id=self.run.run_id))


@contextmanager
def side(directory: Path, *arguments: str) -> Iterator[Side]:
    command = click.Command("server", params=options(rows(Settings)))
    settings = Settings(**command.make_context("server", ["--data-dir", str(directory), *arguments]).params)
    database = Database(settings.database_url())
    database.migrate()
    telemetry = Telemetry(lambda: (0, 0))
    workers = Workers({})
    services, dispatch = build_services(settings, database, StoreConfig(), {}, telemetry, workers)
    expires = SystemClock().now_millis() + DAY
    _, token = services.tokens.create(Caller(USER), NewToken("test", expires, "editor", (NAMESPACE,)))
    services.role_bindings.create("editor", NAMESPACE, USER, "")
    access = build_access(settings, database, services, telemetry)
    local = build_server(services, None, telemetry, access.rules).local
    made = Side(local, database, Credentials({"authorization": (f"Bearer {token}",)}))
    made.fill()
    yield made
    dispatch.stop()
    local.close()
    access.close()
    workers.close()
    database.dispose()


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """One that asks nobody, and one that asks, whose roles are in the database."""
    directory = tmp_path_factory.mktemp("statements")
    with side(directory / "plain") as plain, side(directory / "asking", *ASKING) as asking:
        yield plain, asking


def fewest(one: Side, method: str) -> list[str]:
    found = []
    for _ in range(6):
        with statements(one.database) as seen:
            getattr(one, method)()
        found.append([text for text, _ in seen])
    return min(found, key=len)


@pytest.mark.parametrize("method", ["get", "create"])
def test_what_is_known_is_not_asked_again(sides: tuple[Side, Side], method: str) -> None:
    plain, asking = (fewest(one, method) for one in sides)
    assert plain
    assert asking == plain
