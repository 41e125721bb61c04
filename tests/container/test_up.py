"""`penstock up --backend container`: kills, logs, plans, and what `doctor` says."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_executor.backends.container.probe import DetectedRuntime

from tests.support import lineage
from tools import object_stores
from tools.embedded import PENSTOCK, Embedded
from tools.testing import kube_specs, runs

Podman = Callable[..., str]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    made = tmp_path / "shared"
    made.mkdir()
    return made


@pytest.fixture
def own(found: DetectedRuntime, tmp_path: Path, shared: Path) -> Iterator[Embedded]:
    """A Penstock of the test's own, whose containers see `shared`."""
    option = f"--container-option=--volume={shared}:/shared"
    with Embedded(tmp_path / "data", "--backend", "container", "--parallelism", "3", option) as embedded:
        yield embedded


def package(document: dict[str, Any]) -> str:
    """As the SDK writes it."""
    return f"{json.dumps(document['pipeline_spec'])}\n---\n{json.dumps(document['platform_spec'])}\n"


@pytest.mark.parametrize("killed", ["penstock_executor", "penstock_server"])
def test_killed_while_a_container_runs(own: Embedded, shared: Path, image: str, podman: Podman, killed: str) -> None:
    commands = {
        name: ["sh", "-c", f"echo {name} >> /shared/starts; {then}"]
        for name, then in (("a", "true"), ("b", "while ! test -e /shared/go; do sleep 0.05; done"), ("c", "true"))
    }
    with Client(own.grpc) as client:
        run_id = runs.start(client, kube_specs.chain(commands, image=image))
        runs.until(lambda: runs.tasks(client, run_id)["b"].state, lambda state: state == "RUNNING")
        own.child(killed).kill()
        (shared / "go").touch()
        run = runs.finished(client, run_id)
        tasks = runs.tasks(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error
    assert (shared / "starts").read_text().split() == ["a", "b", "c"]
    assert {task.attempts for path, task in tasks.items() if path} == {1}
    lineage.assert_complete(own.grpc, run_id, {"a", "b", "c"})
    label = f"label=pipeline/runid={run_id}"
    left = runs.until(lambda: podman("ps", "-a", "--filter", label, "--format", "{{.Names}}"), lambda names: not names)
    assert left == ""


def test_killed_again_and_again(own: Embedded, shared: Path, image: str) -> None:
    """The executor dies at another moment of each run: before, while and after a container is made."""
    with Client(own.grpc) as client:
        for number in range(4):
            script = f"echo start >> /shared/starts-{number}; sleep 0.2"
            run_id = runs.start(client, kube_specs.container(["sh", "-c", script], image=image))
            time.sleep(0.05 + 0.2 * number)
            own.child("penstock_executor").kill()
            run = runs.finished(client, run_id)
            [task] = [one for path, one in runs.tasks(client, run_id).items() if path]
            assert run.state == run_pb2.SUCCEEDED, run.error
            starts = (shared / f"starts-{number}").read_text().split()
            assert len(starts) <= task.attempts


def test_a_log_is_followed(own: Embedded, shared: Path, image: str) -> None:
    """The second line is written once the first has been read, so it comes while the task runs."""
    script = "echo first; while ! test -e /shared/go; do sleep 0.05; done; echo second"
    with Client(own.grpc) as client:
        run_id = runs.start(client, kube_specs.container(["sh", "-c", script], image=image))
        command = [PENSTOCK, "runs", "logs", run_id, "only", "--follow", "--server", own.grpc]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "first\n"
            (shared / "go").touch()
            assert process.stdout.read() == "second\n"
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED


def test_an_entrypoint_and_a_secret_in_the_plan(up: Embedded, entry_image: str, tmp_path: Path) -> None:
    document = kube_specs.container([], image=entry_image)
    del document["pipeline_spec"]["deploymentSpec"]["executors"]["exec-only"]["container"]["command"]
    file = tmp_path / "plan.yaml"
    file.write_text(package(document))
    command = [PENSTOCK, "plan", str(file), "--server", up.grpc]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    secret = {"secretAsVolume": [{"secretName": "s", "mountPath": "/s"}]}
    file.write_text(package(kube_specs.container(["true"], image=entry_image, kubernetes=secret)))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "takes a Secret of the cluster: it cannot run in a container of this machine" in done.stderr


def test_an_image_that_nobody_has_fails_a_loop_once(client: Client, up: Embedded) -> None:
    spec = kube_specs.chain({f"t{number}": ["true"] for number in range(3)}, image="localhost/none:1")
    for task in spec["pipeline_spec"]["root"]["dag"]["tasks"].values():
        task.pop("dependentTasks", None)
    run_id = runs.start(client, spec)
    assert runs.finished(client, run_id).state == run_pb2.FAILED
    errors = {task.error for path, task in runs.tasks(client, run_id).items() if path}
    assert len(errors) == 1
    assert "the image 'localhost/none:1' cannot be pulled: " in errors.pop()


def test_doctor_says_what_runs_containers(found: DetectedRuntime, tmp_path: Path) -> None:
    command = [PENSTOCK, "doctor", "--json", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    [finding] = [one for one in json.loads(done.stdout) if one["check"] == "container runtime"]
    assert finding["level"] == "ok"
    assert str(found) == finding["text"]


def test_a_machine_without_a_runtime_says_so(tmp_path: Path) -> None:
    options = ["--backend", "container", "--container-runtime", "none-such"]
    done = subprocess.run(
        [PENSTOCK, "up", "--data-dir", str(tmp_path), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "none-such is not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("settings_in", ["the configuration", "the root"])
def test_an_object_store_whose_keys_no_container_has(
    found: DetectedRuntime, image: str, tmp_path: Path, settings_in: str
) -> None:
    with object_stores.s3(["artifacts"]) as store:
        config = tmp_path / "stores.yaml"
        config.write_text(
            f"providers:\n  s3:\n    default:\n      endpoint: {store.endpoint}\n      region: us-east-1\n"
            "      forcePathStyle: true\n      credentials: {fromEnv: true}\n"
        )
        environment = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        root = "s3://artifacts/root"
        if settings_in == "the configuration":
            environment["PENSTOCK_STORE_CONFIG"] = str(config)
        else:
            root += f"?endpoint={store.endpoint}&region=us-east-1&s3ForcePathStyle=true"
        options = ("--backend", "container", "--artifacts", root)
        write = "mkdir -p {{$.outputs.artifacts['data'].path}}; echo content > {{$.outputs.artifacts['data'].path}}/x"
        read = "cat {{$.inputs.artifacts['data'].path}}/x; test -z \"$AWS_SECRET_ACCESS_KEY\" && echo no keys"
        spec = kube_specs.chain({"w": ["sh", "-c", write], "r": ["sh", "-c", read]}, image=image)
        components = spec["pipeline_spec"]["components"]
        kind = {"artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}}
        components["comp-w"]["outputDefinitions"] = components["comp-r"]["inputDefinitions"] = kind
        given = {"taskOutputArtifact": {"producerTask": "w", "outputArtifactKey": "data"}}
        spec["pipeline_spec"]["root"]["dag"]["tasks"]["r"]["inputs"] = {"artifacts": {"data": given}}
        data = tmp_path / "data"
        with Embedded(data, *options, environment=environment) as up, Client(up.grpc) as client:
            run_id = runs.start(client, spec)
            run = runs.finished(client, run_id)
            assert run.state == run_pb2.SUCCEEDED, runs.tasks(client, run_id)
            command = [PENSTOCK, "runs", "logs", run_id, "r", "--server", up.grpc]
            done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout == "content\nno keys\n"
