"""Metrics and health checks of an executor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support.http import call
from tests.support.replicas import Replicas
from tools.ports import free_port
from tools.testing import runs, specs


@pytest.fixture(scope="module")
def http() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, http: str, environments: Path) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("executor")
    with Replicas(
        directory,
        f"sqlite:///{directory}/penstock.db",
        f"sqlite:///{directory}/metadata.db",
        servers=1,
        executors=1,
        environment={"PENSTOCK_EXECUTOR_HTTP": http},
        environments=environments,
    ) as made:
        yield made


def figures(http: str) -> dict[str, float]:
    text = call("GET", f"http://{http}/metrics").body.decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M)}


def test_a_run_is_counted(replicas: Replicas, http: str, tmp_path: Path) -> None:
    before = figures(http)
    go, started = tmp_path / "go", tmp_path / "started"
    spec = specs.container(["sh", "-c", f"touch {started}; while [ ! -e {go} ]; do sleep 0.02; done"])
    with Client(replicas.addresses[0]) as client:
        run_id = runs.start(client, spec)
        runs.until(started.exists, bool)
        now = figures(http)
        assert now["penstock_executor_runs"] == 1
        assert now["penstock_executor_runs_suspended"] == 0
        assert now['penstock_executor_attempts{phase="launched"}'] == 1
        go.touch()
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    after = runs.until(lambda: figures(http), lambda found: found["penstock_executor_runs"] == 0)
    assert after["penstock_executor_launches_total"] - before["penstock_executor_launches_total"] == 1
    assert after["penstock_executor_transitions_total"] - before["penstock_executor_transitions_total"] >= 2
    for what in ("seconds", "runs", "events"):
        assert after[f"penstock_executor_commit_{what}_count"] > before[f"penstock_executor_commit_{what}_count"]
    assert after["penstock_executor_lineage_waiting"] == 0
    assert after["penstock_executor_leases_lost_total"] == 0
    assert after["process_resident_memory_bytes"] > 0


def test_alive_and_ready_and_why_not(replicas: Replicas, http: str) -> None:
    assert call("GET", f"http://{http}/livez").json == {"alive": True}
    runs.until(lambda: call("GET", f"http://{http}/readyz").status, lambda status: status == 200)
    assert call("GET", f"http://{http}/readyz").json == {"ready": True, "problems": []}
    replicas.servers[0].kill()
    reply = runs.until(lambda: call("GET", f"http://{http}/readyz"), lambda found: found.status == 503)
    assert reply.json["ready"] is False
    assert reply.json["problems"][0].startswith("server: UNAVAILABLE")
    assert call("GET", f"http://{http}/livez").status == 200
    replicas.servers[0].start()
    runs.until(lambda: call("GET", f"http://{http}/readyz").status, lambda status: status == 200)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_that_is_none(address: str) -> None:
    from click.testing import CliRunner
    from penstock_executor.main import main

    done = CliRunner().invoke(main, ["--http", address])
    assert done.exit_code == 2
    assert "is not HOST:PORT" in done.output
