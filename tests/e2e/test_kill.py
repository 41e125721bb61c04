"""kill -9 while tasks run: the run ends SUCCEEDED, no task ran twice, nothing is missing in lineage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tests.support.storm import lineage_wrong
from tools.embedded import Embedded
from tools.testing import runs, specs

TASKS = 5


def spec(directory: Path) -> dict[str, Any]:
    """A chain of tasks that say each start in a file; the second one waits until the file `go` is there."""
    commands = {}
    for number in range(TASKS):
        wait = f"while [ ! -e {directory}/go ]; do sleep 0.05; done" if number == 1 else "sleep 0.05"
        commands[f"t{number}"] = ["sh", "-c", f"echo t{number} >> {directory}/starts; {wait}"]
    return specs.chain(commands, name="killed")


def kill_server(up: Embedded) -> None:
    up.child("penstock_server").kill()


def kill_executor(up: Embedded) -> None:
    up.child("penstock_executor").kill()


def kill_both(up: Embedded) -> None:
    kill_executor(up)
    kill_server(up)


def kill_all_and_start_again(up: Embedded) -> None:
    assert up.process is not None
    children = [up.child("penstock_server"), up.child("penstock_executor")]
    up.process.kill()
    for child in children:
        # Children are told of their parent's death and may be faster than this.
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        child.wait()
    up.process.wait()
    up.start()


@pytest.mark.parametrize("kill", [kill_server, kill_executor, kill_both, kill_all_and_start_again])
def test_killed_while_a_task_runs(own: Embedded, tmp_path: Path, kill: Callable[[Embedded], None]) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with Client(own.grpc) as client:
        run_id = runs.start(client, spec(shared))
        runs.until(lambda: runs.tasks(client, run_id)["t1"].state, lambda state: state == "RUNNING")
        kill(own)
        (shared / "go").touch()
        run = runs.finished(client, run_id)
        tasks = runs.tasks(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error
    assert (shared / "starts").read_text().split() == [f"t{number}" for number in range(TASKS)]
    assert {task.attempts for path, task in tasks.items() if path} == {1}
    lineage.assert_complete(own.grpc, run_id, {f"t{number}" for number in range(TASKS)})


def test_killed_again_and_again(own: Embedded, tmp_path: Path) -> None:
    """The executor dies at a random moment of each of ten short runs; each ends, each task ran once."""
    with Client(own.grpc) as client:
        for round_ in range(10):
            shared = tmp_path / f"round-{round_}"
            shared.mkdir()
            (shared / "go").touch()
            run_id = runs.start(client, spec(shared))
            runs.until(lambda: (shared / "starts").exists(), bool)  # noqa: B023
            victim = "penstock_executor" if round_ % 2 else "penstock_server"
            # Past a few deaths a minute the supervisor gives up by design, so kill the child of a fresh one.
            runs.until(lambda: own.child(victim), lambda found: found is not None).kill()  # noqa: B023
            run = runs.finished(client, run_id)
            assert run.state == run_pb2.SUCCEEDED, run.error
            assert (shared / "starts").read_text().split() == [f"t{number}" for number in range(TASKS)]
            if round_ % 3 == 2:
                own.stop()
                own.start()


@pytest.mark.parametrize("kill", [kill_executor, kill_both])
def test_killed_before_the_lineage_of_iterations_was_in(
    own: Embedded, tmp_path: Path, kill: Callable[[Embedded], None]
) -> None:
    """Their ends are committed, the metadata store does not answer, and the holder of the run dies."""
    (shared := tmp_path / "shared").mkdir()
    wait = f"while [ ! -e {shared}/$0 ]; do sleep 0.05; done"
    last = f"mkdir {shared}/first || mkdir {shared}/second || sh -c '{wait}' go"
    with Client(own.grpc) as client:
        run_id = runs.start(client, specs.loop(3, ["sh", "-c", f"{wait}; {last}", "begin"]))
        states = lambda: [task.state for path, task in runs.tasks(client, run_id).items() if path.endswith("/t")]  # noqa: E731
        runs.until(states, lambda found: found == ["RUNNING"] * 3)
        (store,) = [
            child
            for child in own.child("penstock_server").children()
            if any("metadata" in word for word in child.cmdline())
        ]
        store.suspend()
        (shared / "begin").touch()
        runs.until(states, lambda found: sorted(found) == ["RUNNING", "SUCCEEDED", "SUCCEEDED"])
        kill(own)
        with contextlib.suppress(psutil.NoSuchProcess):
            store.resume()
        (shared / "go").touch()
        run, tasks = runs.finished(client, run_id), runs.tasks(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error
    assert lineage_wrong(lineage.store(own.grpc), run_id, tasks) == []
