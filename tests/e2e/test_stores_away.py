"""What the server needs goes away and comes back: the database, the metadata store.

Calls are refused meanwhile or go on, everything is well afterwards, nothing is lost and nothing runs twice.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import grpc
import pytest
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import run_pb2

from tests.support import http, runs, specs
from tools.databases import postgresql
from tools.embedded import Embedded

# The longer figure is for runs by hand: 30.
SECONDS = float(os.environ.get("PENSTOCK_TEST_AWAY_SECONDS", "6"))


def counted(directory: Path, seconds: float) -> dict[str, object]:
    """Three tasks, each of which leaves a line when it runs."""
    line = f"echo x >> {directory}/ran-%s; sleep {seconds}"
    return specs.chain({name: ["sh", "-c", line % name] for name in ("a", "b", "c")})


def times_run(directory: Path) -> list[int]:
    return [len((directory / f"ran-{name}").read_text().split()) for name in ("a", "b", "c")]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_database_is_away(tmp_path: Path, mode: str) -> None:
    with (
        postgresql(durable=True) as server,
        Embedded(tmp_path / "data", "--database", server.url) as up,
        Client(up.grpc) as client,
    ):
        run_id = runs.start(client, counted(tmp_path, SECONDS / 3))
        runs.until(lambda: (tmp_path / "ran-a").exists(), bool)
        server.stop(mode)
        try:
            until = time.monotonic() + SECONDS
            refused = 0
            while time.monotonic() < until:
                with pytest.raises(ClientError) as error:
                    client.call(client.runs.CreateRun, _new(), 20)
                assert error.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                assert "psycopg" not in str(error.value)
                reply = http.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}")
                assert reply.status in (503, 504)
                assert http.call("GET", f"{up.http}/readyz").status == 503
                assert http.call("GET", f"{up.http}/livez").status == 200
                refused += 1
            assert refused > 0
        finally:
            server.start()
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        assert times_run(tmp_path) == [1, 1, 1]
        assert http.call("GET", f"{up.http}/readyz").status == 200
        # Nothing half-written: what was refused is not there, and a new run goes through.
        listed = [one.display_name for one in client.list_runs()]
        assert listed == ["test"]
        assert runs.finished(client, runs.start(client, specs.container(["true"]))).state == run_pb2.SUCCEEDED


def test_the_metadata_store_hangs(tmp_path: Path) -> None:
    """Somebody holds its database: tasks go on, the API answers, and the lineage is there in the end."""
    with Embedded(tmp_path / "data") as up, Client(up.grpc) as client:
        first = runs.start(client, specs.container(["true"]))
        assert runs.finished(client, first).state == run_pb2.SUCCEEDED
        holder = sqlite3.connect(tmp_path / "data" / "metadata.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            run_id = runs.start(client, counted(tmp_path, 0))
            until = time.monotonic() + SECONDS
            slowest = 0.0
            while time.monotonic() < until or not (tmp_path / "ran-c").exists():
                started = time.monotonic()
                state = runs.get(client, run_id).state
                assert http.call("GET", f"{up.http}/apis/v2beta1/runs").status == 200
                slowest = max(slowest, time.monotonic() - started)
                assert time.monotonic() < until + 30
            assert state == run_pb2.RUNNING
            assert slowest < 2.0
        finally:
            holder.rollback()
            holder.close()
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED
        assert times_run(tmp_path) == [1, 1, 1]
        assert all(task.execution_id for task in run.run_details.task_details)


def _new() -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "while it was away"
    request.run.pipeline_spec.update(specs.container(["true"]))
    return request
