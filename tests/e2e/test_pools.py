"""Pools over real programs: a mutex that two executors share, kills that free nothing too early and leak nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tests.support.pools import assert_one_at_a_time, pool, put, siblings, slot_rows, timed
from tests.support.replicas import Replicas
from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.mark.timeout(300)
def test_a_pool_of_one_is_a_mutex_over_executors(postgresql_url: str, tmp_path: Path, environments: Path) -> None:
    with (
        Replicas(tmp_path, postgresql_url, servers=2, executors=2, environments=environments) as replicas,
        Client(replicas.addresses[0]) as client,
    ):
        put(client, "licence", 1)
        ids = [runs.start(client, siblings(tmp_path / "spans", 3, 0.2)) for _ in range(4)]
        for run_id in ids:
            assert runs.finished(client, run_id, 120).state == run_pb2.SUCCEEDED
        assert_one_at_a_time(tmp_path / "spans", 12)
        assert pool(client, "licence").pool.taken == 0


@pytest.mark.timeout(300)
def test_an_executor_that_is_killed_keeps_its_slot_until_its_task_has_ended(
    postgresql_url: str, tmp_path: Path, environments: Path
) -> None:
    with (
        Replicas(tmp_path, postgresql_url, servers=1, executors=2, environments=environments) as replicas,
        Client(replicas.addresses[0]) as client,
    ):
        put(client, "licence", 1)
        ids = [runs.start(client, siblings(tmp_path / "spans", 2, 1.5)) for _ in range(2)]
        runs.until(lambda: pool(client, "licence"), lambda one: one.pool.taken == 1 and one.pool.waiting > 0)
        for executor in replicas.executors:
            executor.kill()
            executor.start()
        for run_id in ids:
            assert runs.finished(client, run_id, 120).state == run_pb2.SUCCEEDED
        assert_one_at_a_time(tmp_path / "spans", 4)
        assert slot_rows(postgresql_url) == 0, "nothing leaks"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Client]:
    """Of a server with one executor."""
    with Embedded(tmp_path_factory.mktemp("pools"), environments=environments) as up, Client(up.grpc) as client:
        yield client


def test_what_waits_says_for_what_and_a_pool_that_grows_lets_it_begin(alone: Client, tmp_path: Path) -> None:
    put(alone, "licence", 0)
    run_id = runs.start(alone, siblings(tmp_path / "spans", 1, 0))
    runs.until(lambda: pool(alone, "licence").pool.waiting, lambda waiting: waiting == 1)
    assert [one.run_id for one in pool(alone, "licence").waiters] == [run_id]
    text = runs.until(lambda: runs.tasks(alone, run_id)["t0"].waiting, bool)
    assert text == "waits for 1 of 0 slots of the pool licence: 0 are taken, 0 tasks wait before this one"
    put(alone, "licence", 1)
    assert runs.finished(alone, run_id).state == run_pb2.SUCCEEDED


def test_a_pool_that_is_not_there_fails_the_task_with_the_way_out(alone: Client) -> None:
    request = insight_pb2.PlanPipelineRequest()
    json_format.ParseDict(specs.pooled("nowhere"), request.pipeline_spec)
    (problem,) = alone.call(alone.insight.PlanPipeline, request).problems
    assert "penstock pools put nowhere --slots 1" in problem.message
    run_id = runs.start(alone, specs.pooled("nowhere"))
    assert runs.finished(alone, run_id).state == run_pb2.FAILED
    assert "penstock pools put nowhere --slots 1" in runs.tasks(alone, run_id)["only"].error


def test_the_pool_of_a_run_is_taken_by_each_task(alone: Client, tmp_path: Path) -> None:
    put(alone, "mutex", 1)
    commands = {f"t{number}": timed(tmp_path / "spans", 0.1) for number in range(3)}
    run_id = runs.start(alone, specs.siblings(commands), pool="mutex")
    assert runs.finished(alone, run_id).state == run_pb2.SUCCEEDED
    assert_one_at_a_time(tmp_path / "spans", 3)
