"""A `penstock up` that is flooded, in each way that `tools.bench.attacks` knows: others are served, no lease is lost.

What counts is that everything is answered; how fast is measured by `python -m tools.bench.flood`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.bench.attacks import ATTACKS, Target, allow_many_files
from tools.embedded import Embedded
from tools.testing import runs, specs

PROBES = ("/livez", "/readyz", "/metrics", "/apis/v1beta1/healthz", "/apis/v2beta1/healthz")
# A probe of Kubernetes has a second by default; this machine may be busy with other tests.
SECONDS = 5


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    allow_many_files()
    with Embedded(tmp_path_factory.mktemp("flooded") / "data", environments=environments) as embedded:
        yield embedded


@pytest.fixture(scope="module")
def run_id(flooded: Embedded) -> Iterator[str]:
    """A run whose task ends when the tests have ended: its executor has a lease to keep all the time."""
    with Client(flooded.grpc) as client:
        identifier = runs.start(client, specs.container(["sleep", "600"]))
        runs.until(lambda: runs.get(client, identifier), lambda run: run.state == run_pb2.RUNNING)
        yield identifier
        client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=identifier))


@pytest.mark.parametrize("name", list(ATTACKS))
def test_others_are_served(flooded: Embedded, run_id: str, name: str) -> None:
    target = Target(flooded.http.removeprefix("http://"), flooded.grpc)
    under_way, stop = threading.Event(), threading.Event()
    attacker = threading.Thread(target=ATTACKS[name], args=(target, under_way, stop))
    attacker.start()
    try:
        assert under_way.wait(60)
        with grpc.insecure_channel(flooded.grpc) as channel, ThreadPoolExecutor(4) as pool:
            health: Any = health_pb2_grpc.HealthStub(channel).Check
            for _ in range(5):
                listed = pool.submit(http.call, "GET", f"{flooded.http}/apis/v2beta1/runs")
                created = pool.submit(http.call, "POST", f"{flooded.http}/apis/v2beta1/experiments", {})
                for path in PROBES:
                    assert pool.submit(http.call, "GET", flooded.http + path).result(SECONDS).status == 200
                answer = health(health_pb2.HealthCheckRequest(), timeout=SECONDS, wait_for_ready=True)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
                assert listed.result(2 * SECONDS).status == 200
                assert created.result(2 * SECONDS).status == 400, "an experiment without a name"
    finally:
        stop.set()
        attacker.join(60)
    with Client(flooded.grpc) as client:
        history = [change.state for change in runs.get(client, run_id).state_history]
        assert history == [run_pb2.PENDING, run_pb2.RUNNING]
    assert "lease" not in flooded.log_file.read_text()
