"""After `penstock up` is stopped, only tasks are left running, which the next start adopts."""

from __future__ import annotations

from pathlib import Path

import psutil
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs


def fork_servers(data_dir: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any("fork_server.py" in word for word in words) and any(str(data_dir) in word for word in words):
            found.append(process)
    return found


def test_nothing_stays_when_nothing_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Embedded(data) as up, Client(up.grpc) as client:
        run = runs.finished(client, runs.start(client, specs.container(["true"])))
        assert run.state == run_pb2.SUCCEEDED
        assert fork_servers(data)
    runs.until(lambda: fork_servers(data), lambda found: not found, 10)


def test_a_task_outlives_a_shutdown_and_its_successor_takes_it(tmp_path: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    shared.mkdir()
    script = f"echo >> {shared}/starts; while [ ! -e {shared}/go ]; do sleep 0.05; done"
    up = Embedded(data)
    with up, Client(up.grpc) as client:
        run_id = runs.start(client, specs.container(["sh", "-c", script]))
        runs.until(lambda: runs.tasks(client, run_id)["only"].state, lambda state: state == "RUNNING")
    assert fork_servers(data), "the task's parent left before the task"
    with up, Client(up.grpc) as client:
        (shared / "go").touch()
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED
        assert runs.tasks(client, run_id)["only"].attempts == 1
    assert (shared / "starts").read_text() == "\n"
    runs.until(lambda: fork_servers(data), lambda found: not found, 10)
