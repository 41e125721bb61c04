"""After `penstock up` is stopped, only tasks are left running, which the next start adopts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs


def fork_servers(up: Embedded) -> list[psutil.Process]:
    """Those that its executor has started."""
    found = []
    for process in up.child("penstock_executor").children():
        with suppress(psutil.Error):
            if any("fork_server.py" in word for word in process.cmdline()):
                found.append(process)
    return found


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_nothing_stays_when_nothing_runs(tmp_path: Path, environments: Path) -> None:
    data = tmp_path / "data"
    with Embedded(data, environments=environments) as up, Client(up.grpc) as client:
        run = runs.finished(client, runs.start(client, specs.container(["true"])))
        assert run.state == run_pb2.SUCCEEDED
        started = fork_servers(up)
        assert alive(started)
    runs.until(lambda: alive(started), lambda found: not found, 10)


def test_a_task_outlives_a_shutdown_and_its_successor_takes_it(tmp_path: Path, environments: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    shared.mkdir()
    script = f"echo >> {shared}/starts; while [ ! -e {shared}/go ]; do sleep 0.05; done"
    up = Embedded(data, environments=environments)
    with up, Client(up.grpc) as client:
        run_id = runs.start(client, specs.container(["sh", "-c", script]))
        runs.until(lambda: runs.tasks(client, run_id)["only"].state, lambda state: state == "RUNNING")
        started = fork_servers(up)
    assert alive(started), "the task's parent left before the task"
    with up, Client(up.grpc) as client:
        (shared / "go").touch()
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED
        assert runs.tasks(client, run_id)["only"].attempts == 1
        started += fork_servers(up)
    assert (shared / "starts").read_text() == "\n"
    runs.until(lambda: alive(started), lambda found: not found, 10)
