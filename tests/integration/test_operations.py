"""What operators ask: figures, readiness."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import run_pb2
from penstock_server.errors import UnavailableError
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.support import runs, specs
from tools.embedded import Embedded


def figures(up: Embedded) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"{up.http}/metrics") as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        content = reply.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
    }


def test_figures_count_what_happens(up: Embedded, client: Client) -> None:
    service = "/kubeflow.pipelines.backend.api.v2beta1.RunService"
    created = ("penstock_rpc_seconds_count", (("code", "OK"), ("method", f"{service}/CreateRun")))
    missing = ("penstock_rpc_seconds_count", (("code", "NOT_FOUND"), ("method", f"{service}/GetRun")))
    before = figures(up)
    runs.finished(client, runs.start(client, specs.container(["true"])))
    with pytest.raises(ClientError):
        client.call(client.runs.GetRun, run_pb2.GetRunRequest(run_id="nobody"))
    after = figures(up)
    assert after[created] == before.get(created, 0) + 1
    assert after[missing] == before.get(missing, 0) + 1
    events = ("penstock_run_events_total", ())
    assert after[events] > before[events]
    assert after[("penstock_database_transaction_seconds_count", (("kind", "write"),))] > 0
    assert ("penstock_runs_waiting", ()) in after


def test_labels_never_hold_what_callers_send(up: Embedded) -> None:
    for path in ("/apis/v2beta1/runs/surprise-in-a-label", "/surprise-in-a-path"):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(up.http + path)
    assert not any("surprise" in str(key) for key in figures(up))


def test_ready_and_alive(up: Embedded) -> None:
    with urllib.request.urlopen(f"{up.http}/readyz") as reply:
        assert json.load(reply) == {"ready": True, "problems": []}
    with urllib.request.urlopen(f"{up.http}/livez") as reply:
        assert json.load(reply) == {"alive": True}


def test_not_ready_says_why(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    assert "its schema is at None" in database.problems()[0]
    database.migrate()
    assert database.problems() == []
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'another'"))
    assert "another" in database.problems()[0]
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    # A later version of ours: it only added what this one does not know.
    assert database.problems() == []
    database.migrate()
    database.dispose()
    away = Database(f"sqlite:///{tmp_path}")  # a directory
    assert away.problems()[0].startswith("database: ")


def test_figures_come_without_a_database() -> None:
    def away() -> tuple[int, int]:
        raise UnavailableError("the database does not answer")

    content = Telemetry(away).exposition().decode()
    assert "penstock_rpc_under_way 0.0" in content
    assert "penstock_runs_waiting" not in content


def test_a_line_for_every_call(tmp_path: Path) -> None:
    """JSON lines with method, status, request id and run id; nothing of what was sent."""
    with Embedded(tmp_path, "--log-level", "info", "--log-format", "json") as up, Client(up.grpc) as client:
        run_id = runs.start(client, specs.container(["true"]), name="a name nobody may log")
        runs.finished(client, run_id)
        request = urllib.request.Request(f"{up.http}/apis/v2beta1/runs/nobody", headers={"X-Request-Id": "mine-7"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
        for probe in ("livez", "readyz", "metrics"):
            urllib.request.urlopen(f"{up.http}/{probe}").read()
    text = (tmp_path / "logs" / "server.log").read_text()
    calls = [line for line in map(json.loads, text.splitlines()) if line["logger"] == "penstock_server.calls"]
    service = "/kubeflow.pipelines.backend.api.v2beta1.RunService"
    created = next(line for line in calls if line["method"] == f"{service}/CreateRun")
    assert (created["code"], created["run_id"], created["level"]) == ("OK", run_id, "INFO")
    assert created["millis"] > 0
    refused = next(line for line in calls if line["request_id"] == "mine-7")
    assert (refused["method"], refused["code"], refused["run_id"]) == (f"{service}/GetRun", "NOT_FOUND", "nobody")
    assert "nobody may log" not in text
    requests = [line for line in map(json.loads, text.splitlines()) if line["logger"] == "penstock_server.requests"]
    assert [line["route"] for line in requests] == ["/apis/v2beta1/runs/{run_id}"]
