"""Metrics and readiness of the server."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import run_pb2
from penstock_server.errors import UnavailableError
from penstock_server.readiness import Readiness
from penstock_server.storage.database import Database
from penstock_server.storage.probe import write_problem
from penstock_server.telemetry import Telemetry
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql
from sqlalchemy import text

from tools.embedded import Embedded
from tools.testing import runs, specs


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


def problems_of(url: str) -> list[str]:
    database = Database(url)
    try:
        return database.problems()
    finally:
        database.dispose()


def test_not_ready_without_writes(tmp_path: Path) -> None:
    """Reading from it goes on all the while."""
    url = f"sqlite:///{tmp_path}/penstock.db"
    database = Database(url)
    database.migrate()
    with sqlite3.connect(tmp_path / "penstock.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert database.problems() == ["database: it cannot be written to: database is locked"]
        other.execute("ROLLBACK")
    assert database.problems() == []
    with database.writing():
        assert problems_of(url) == ["database: it cannot be written to: database is locked"]
        assert database.problems() == ["database: it cannot be written to: a writer has held it for a second"]
    assert database.problems() == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["penstock.db", "penstock.db-shm", "penstock.db-wal"]
    database.dispose()


def test_not_ready_on_a_read_only_server(postgresql_url: str, mariadb_url: str) -> None:
    for url in (postgresql_url, mariadb_url):
        database = Database(url)
        database.migrate()
        assert database.problems() == []
        database.dispose()
    name = sql.Identifier(postgresql_url.rsplit("/", 1)[1])
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    assert problems_of(postgresql_url) == ["database: it takes no writes: it is read-only"]


def test_a_busy_database_is_ready(tmp_path: Path) -> None:
    """Writers that take turns prove that it can be written to, also when the probe gets none."""
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    database.migrate()
    taken = threading.Lock()
    taken.acquire()
    assert write_problem(database.engine, taken, time.monotonic) == ""
    assert "cannot be written to" in write_problem(database.engine, taken, lambda: 0.0)
    database.dispose()


def test_readiness_is_looked_at_once_at_a_time() -> None:
    looks = threading.Semaphore(0)
    goes_on = threading.Event()

    def look() -> list[str]:
        looks.release()
        goes_on.wait(30)
        return ["found"]

    readiness = Readiness(look, timeout=0.05)
    assert "did not answer" in readiness.problems()[0]
    assert "did not answer" in readiness.problems()[0]
    goes_on.set()
    assert runs.until(readiness.problems, lambda found: found == ["found"]) == ["found"]
    assert readiness.problems() == ["found"]
    assert looks.acquire(blocking=False)
    assert not looks.acquire(blocking=False)
    runs.until(lambda: readiness.problems() and looks.acquire(blocking=False), bool)


def test_a_look_that_fails_is_told_and_repeated() -> None:
    answers: list[Exception | None] = [ValueError("once"), None]

    def look() -> list[str]:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return []

    readiness = Readiness(look)
    with pytest.raises(ValueError, match="once"):
        readiness.problems()
    assert readiness.problems() == []


def test_figures_come_without_a_database() -> None:
    def away() -> tuple[int, int]:
        raise UnavailableError("the database does not answer")

    telemetry = Telemetry(away)
    with telemetry.call("/a.Service/Method"):
        assert 'penstock_rpc_under_way{method="/a.Service/Method"} 1.0' in telemetry.exposition().decode()
    content = telemetry.exposition().decode()
    assert 'penstock_rpc_under_way{method="/a.Service/Method"} 0.0' in content
    assert "penstock_runs_waiting" not in content


def test_a_line_for_every_call_that_changes_something_or_fails(tmp_path: Path, environments: Path) -> None:
    """JSON lines with method, status, request id and run id; nothing of what was sent. Polls say nothing."""
    options = ("--log-level", "info", "--log-format", "json")
    with Embedded(tmp_path, *options, environments=environments) as up, Client(up.grpc) as client:
        run_id = runs.start(client, specs.container(["true"]), name="a name nobody may log")
        runs.finished(client, run_id)
        request = urllib.request.Request(f"{up.http}/apis/v2beta1/runs/nobody", headers={"X-Request-Id": "mine-7"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
        urllib.request.urlopen(f"{up.http}/apis/v2beta1/runs/{run_id}").read()
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
    assert not [line for line in calls if "/Get" in line["method"] and line["code"] == "OK"]
    assert "nobody may log" not in text
    requests = [line for line in map(json.loads, text.splitlines()) if line["logger"] == "penstock_server.requests"]
    assert [line["route"] for line in requests] == ["/apis/v2beta1/runs/{run_id}"]
