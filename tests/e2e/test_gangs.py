"""Gangs over real programs: iterations that wait for each other run at once, where there is too little for two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v1 import pool_pb2
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs

MEMBERS = 2
# A member ends well when all of its gang have begun within ten seconds.
MEET = (
    'mktemp -p "$0" >/dev/null; for i in $(seq 100); do [ $(ls "$0" | wc -l) = "$1" ] && exit; sleep 0.1; done; exit 1'
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Client]:
    """Of a server with one executor, which has places for one gang and a half."""
    data = tmp_path_factory.mktemp("gangs")
    with Embedded(data, "--parallelism", "3", environments=environments) as up, Client(up.grpc) as client:
        yield client


def gang(directory: Path, **annotations: str) -> dict[str, Any]:
    directory.mkdir()
    spec = specs.loop(MEMBERS, ["sh", "-c", MEET, str(directory), str(MEMBERS)])
    return specs.annotated({"penstock.dev/gang": "true", **annotations}, spec)


def crossed(directory: Path, **annotations: str) -> dict[str, Any]:
    """Two tasks in each iteration, which begin iteration by iteration when nothing holds their gangs together."""
    spec = specs.loop(MEMBERS)
    tasks = spec["components"]["inner"]["dag"]["tasks"]
    for name in ("t", "u"):
        (directory / name).mkdir(parents=True)
        command = ["sh", "-c", MEET, str(directory / name), str(MEMBERS)]
        spec["deploymentSpec"]["executors"][f"exec-{name}"] = {"container": {"image": "image", "command": command}}
        spec["components"][f"work-{name}"] = {"executorLabel": f"exec-{name}"}
        tasks[name] = {"taskInfo": {"name": name}, "componentRef": {"name": f"work-{name}"}}
    del spec["components"]["work"], spec["deploymentSpec"]["executors"]["exec"]
    return specs.annotated({"penstock.dev/pool": "pair", **annotations}, spec)


@pytest.mark.parametrize(
    ("annotations", "state"), [({"penstock.dev/gang": "true"}, run_pb2.SUCCEEDED), ({}, run_pb2.FAILED)]
)
def test_slots_for_one_gang_of_two(alone: Client, tmp_path: Path, annotations: dict[str, str], state: int) -> None:
    """Each gang has them all in its turn; one by one both take half of them, and wait for each other."""
    alone.call(alone.pools.PutPool, pool_pb2.PutPoolRequest(pool=pool_pb2.Pool(name="pair", slots=MEMBERS)))
    run_id = runs.start(alone, crossed(tmp_path / "crossed", **annotations))
    assert runs.finished(alone, run_id, 120).state == state


@pytest.mark.parametrize("pool", ["", "gpu"])
def test_many_gangs_at_once_all_come_together(alone: Client, tmp_path: Path, pool: str) -> None:
    wanted = pool_pb2.PutPoolRequest(pool=pool_pb2.Pool(name="gpu", slots=3))
    alone.call(alone.pools.PutPool, wanted)
    annotations = {"penstock.dev/pool": pool} if pool else {}
    ids = [runs.start(alone, gang(tmp_path / f"gang-{number}", **annotations)) for number in range(5)]
    for run_id in ids:
        assert runs.finished(alone, run_id, 120).state == run_pb2.SUCCEEDED
    found: pool_pb2.GetPoolResponse = alone.call(alone.pools.GetPool, pool_pb2.GetPoolRequest(name="gpu"))
    assert (found.pool.taken, found.pool.waiting) == (0, 0)


def test_a_gang_of_more_than_all_places_fails_with_the_way_out(alone: Client, tmp_path: Path) -> None:
    spec = specs.annotated({"penstock.dev/gang": "true"}, specs.loop(4))
    run_id = runs.start(alone, spec)
    assert runs.finished(alone, run_id).state == run_pb2.FAILED
    error = runs.tasks(alone, run_id)["loop"].error
    assert "4 attempts of the loop start together (penstock.dev/gang), and this executor runs 3 at a time" in error
    assert "--parallelism" in error
