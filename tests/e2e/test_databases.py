"""Everything in a database server: Penstock's tables and ML Metadata's, on PostgreSQL and on MariaDB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.databases import MariaDB, PostgreSQL
from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.mark.parametrize("option", ["--database", "--metadata-database"])
@pytest.mark.parametrize("which", ["postgresql", "mariadb"])
def test_a_database_that_cannot_be_used_is_said_in_its_own_words(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, option: str
) -> None:
    url = f"{request.getfixturevalue(f'{which}_url')}gone"
    command = [
        sys.executable, "-m", "penstock_server.main",
        "--data-dir", str(tmp_path), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0",
        "--dispatch", "127.0.0.1:0", option, url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert url.rpartition("/")[2] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("which", ["postgresql", "mariadb"])
def test_runs_and_their_lineage(request: pytest.FixtureRequest, tmp_path: Path, which: str, environments: Path) -> None:
    server: PostgreSQL | MariaDB = request.getfixturevalue(f"{which}_server")
    url: str = request.getfixturevalue(f"{which}_url")
    environment = {"PENSTOCK_METADATA_DATABASE": server.database(url.rpartition("/")[2] + "m")}
    with (
        Embedded(tmp_path / "data", "--database", url, environment=environment, environments=environments) as up,
        Client(up.grpc) as client,
    ):
        spec = specs.container(
            ["sh", "-c", "echo ünï > {{$.outputs.artifacts['data'].path}}"], artifacts={"data": "system.Dataset"}
        )
        ids = [runs.start(client, spec, name=f"run {number} 'ünï' 🚀") for number in range(5)]
        for run_id in ids:
            run = runs.finished(client, run_id)
            assert run.state == run_pb2.SUCCEEDED
            assert all(task.execution_id for task in run.run_details.task_details)
            assert [one.metadata_id > 0 for one in client.list_artifacts(run_id=run_id)] == [True]
        assert {one.run_id for one in client.list_runs()} == set(ids)
        up.stop()
        up.start()
        assert {one.run_id for one in client.list_runs()} == set(ids)
