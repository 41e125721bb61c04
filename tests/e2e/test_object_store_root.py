"""`penstock up --artifacts s3://…`: local tasks whose artifacts are in an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools import object_stores
from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.fixture(scope="module")
def server() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["artifacts"]) as running:
        yield running


@pytest.fixture(scope="module")
def client(
    server: object_stores.ObjectStore, tmp_path_factory: pytest.TempPathFactory, environments: Path
) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("object-store-root")
    config = directory / "stores.yaml"
    config.write_text(
        yaml.safe_dump(
            {"providers": {"s3": {"default": {"endpoint": server.endpoint, "credentials": {"fromEnv": True}}}}}
        )
    )
    environment = {
        "PENSTOCK_STORE_CONFIG": str(config),
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
    }
    with (
        Embedded(
            directory / "data", "--artifacts", "s3://artifacts/root", environment=environment, environments=environments
        ) as up,
        Client(up.grpc) as made,
    ):
        yield made


def test_artifacts_and_logs_are_objects(client: Client, server: object_stores.ObjectStore) -> None:
    spec = specs.compiled("inputs_changed_in_place")
    for _ in range(2):
        # The second time from the cache, which looks at the objects.
        run = runs.finished(client, runs.start(client, spec))
        assert run.state == run_pb2.SUCCEEDED, runs.tasks(client, run.run_id)
        assert "changed: original" in runs.outputs(client, run.run_id, "contents")["Output"]
    task = runs.tasks(client, run.run_id)["three-files"]
    assert task.state == "CACHED"
    root = server.directory / "artifacts" / "root"
    assert [one.read_text() for one in root.rglob("files/removed")] == ["original"]
    assert len(list(root.rglob("executor-logs"))) == 4


def test_logs_are_there_while_a_task_runs_and_afterwards(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    spec = specs.container(["sh", "-c", f"echo begun; while [ ! -e {gate} ]; do sleep 0.05; done; echo ended"])
    run_id = runs.start(client, spec)
    runs.until(lambda: runs.log(client, run_id, "only"), lambda text: text == b"begun\n")
    gate.touch()
    runs.finished(client, run_id)
    assert runs.tasks(client, run_id)["only"].log_uri.startswith("s3://artifacts/root/")
    assert runs.log(client, run_id, "only") == b"begun\nended\n"


def test_a_task_that_fails_says_why(client: Client) -> None:
    run = runs.finished(client, runs.start(client, specs.container(["sh", "-c", "echo the reason; exit 3"])))
    task = runs.tasks(client, run.run_id)["only"]
    assert "the reason" in task.error
    assert task.log_uri.startswith("s3://artifacts/root/")
