"""A server of several processes with an executor: processes die while runs go on, and no task runs twice."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import psutil
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tests.support.replicas import TASKS, Replicas, program_is_up, spec
from tools.databases import MariaDB, PostgreSQL
from tools.testing import runs


@pytest.mark.timeout(400)
@pytest.mark.parametrize("which", ["postgresql", "mariadb"])
def test_runs_survive_the_death_of_processes(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, environments: Path
) -> None:
    random = Random(7)
    database: PostgreSQL | MariaDB = request.getfixturevalue(f"{which}_server")
    url: str = request.getfixturevalue(f"{which}_url")
    metadata = database.database(url.rpartition("/")[2].partition("?")[0] + "m")
    several = {"PENSTOCK_PROCESSES": "3"}
    with Replicas(
        tmp_path, url, metadata, servers=1, executors=1, environment=several, environments=environments
    ) as replicas:
        server = replicas.servers[0]
        assert server.process is not None
        ids = []
        for number in range(12):
            with Client(replicas.addresses[0]) as client:
                ids.append(runs.start(client, spec(tmp_path / f"starts-{number}", 0.3), name=f"run {number}"))
        for _ in range(6):
            random.choice(runs.until(psutil.Process(server.process.pid).children, bool)).kill()
            # Not a race that is waited out: how soon the next one dies is part of what is tried.
            time.sleep(random.uniform(0.0, 1.5))
        program_is_up(server)
        with Client(replicas.addresses[0]) as client:
            for number, run_id in enumerate(ids):
                run = runs.until(lambda: runs.finished(client, run_id), bool, 200)  # noqa: B023
                assert run.state == run_pb2.SUCCEEDED, f"run {number}: {run.error}"
                assert (tmp_path / f"starts-{number}").read_text().split() == list(TASKS)
                attempts = {path: task.attempts for path, task in runs.tasks(client, run_id).items() if path}
                assert set(attempts.values()) == {1}, attempts
        for run_id in ids:
            lineage.assert_complete(replicas.addresses[0], run_id, set(TASKS))
