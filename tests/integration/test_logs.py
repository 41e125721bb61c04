"""Tasks without a log: every API returns a sentence that says why, instead of an error."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs


def pipeline(gate: Path) -> dict[str, Any]:
    """Two tasks that wait for a file, one behind them, an importer, a task whose condition is false."""
    waits = ["sh", "-c", f"echo said; until test -e {gate}; do sleep 0.05; done"]
    spec = specs.chain({"one": waits, "behind": ["sh", "-c", "echo said"], "two": waits, "never": ["true"]})
    tasks = spec["root"]["dag"]["tasks"]
    del tasks["two"]["dependentTasks"], tasks["never"]["dependentTasks"]
    tasks["never"]["triggerPolicy"] = {"condition": "1 == 2"}
    schema = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}
    spec["components"]["comp-import"] = {
        "executorLabel": "exec-import",
        "outputDefinitions": {"artifacts": {"artifact": {"artifactType": schema}}},
    }
    importer = {"artifactUri": {"constant": "s3://bucket/key"}, "typeSchema": schema}
    spec["deploymentSpec"]["executors"]["exec-import"] = {"importer": importer}
    tasks["import"] = {"taskInfo": {"name": "import"}, "componentRef": {"name": "comp-import"}}
    return spec


@pytest.fixture
def narrow(tmp_path: Path, environments: Path) -> Iterator[Embedded]:
    """One task at a time."""
    with Embedded(tmp_path / "data", "--parallelism", "1", environments=environments) as embedded:
        yield embedded


def logs(up: Embedded, run_id: str, task: str) -> set[str]:
    """What every way to ask for it says, as one should."""
    found = set()
    for prefix in ("", "/pipeline"):
        for version in ("v1alpha1", "v1beta1", "v2beta1"):
            reply = http.call("GET", f"{up.http}{prefix}/apis/{version}/runs/{run_id}/nodes/{task}/log")
            assert reply.status == 200, reply
            found.add(reply.body.decode())
        reply = http.call("GET", f"{up.http}{prefix}/k8s/pod/logs?podname={task}&runid={run_id}")
        assert reply.status == 200, reply
        found.add(reply.body.decode())
    with Client(up.grpc) as client:
        found.add(runs.log(client, run_id, task).decode())
    return found


def test_tasks_without_a_log_say_why(narrow: Embedded, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Client(narrow.grpc) as client:
        run_id = runs.start(client, pipeline(gate))

        def states() -> dict[str, str]:
            return {path: task.state for path, task in runs.tasks(client, run_id).items()}

        now = runs.until(
            states,
            lambda found: sorted(found.get(one, "") for one in ("one", "two")) == ["PENDING", "RUNNING"]
            and found.get("import") == "SUCCEEDED" and found.get("never") == "SKIPPED",
        )  # fmt: skip
        running, waiting = sorted(("one", "two"), key=lambda one: now[one], reverse=True)
        runs.until(lambda: runs.log(client, run_id, running), lambda log: b"said" in log)
        assert all("said" in one for one in logs(narrow, run_id, running))
        (said,) = logs(narrow, run_id, waiting)
        assert said.startswith(f"Task {waiting!r} has no log yet: ")
        assert "waits for a free place" in said
        (said,) = logs(narrow, run_id, "behind")
        assert said == "Task 'behind' has no log yet: waits for 1 of 1 tasks to succeed: one.\n"
        (said,) = logs(narrow, run_id, "import")
        assert said == "Task 'import' has no log: an importer runs no command, it names what is there.\n"
        (said,) = logs(narrow, run_id, "never")
        assert said.startswith("Task 'never' has no log: its condition is false")
        url = f"{narrow.http}/apis/v2beta1/runs/{run_id}/nodes/nobody/log"
        assert http.call("GET", url).status == 404
        assert http.call("GET", f"{narrow.http}/apis/v2beta1/runs/nobody/nodes/one/log").status == 404
        gate.touch()
        runs.finished(client, run_id)
        assert b"said" in runs.log(client, run_id, waiting, follow=True)


def test_a_log_is_followed_from_before_the_run_reaches_its_task(narrow: Embedded, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Client(narrow.grpc) as client, ThreadPoolExecutor() as pool:
        run_id = runs.start(client, pipeline(gate))
        names = ("one", "two", "behind")
        followed = [pool.submit(runs.log, client, run_id, name, follow=True) for name in names]
        runs.until(lambda: http.under_way(narrow.http, "ReadLog"), lambda streams: streams == len(names))
        gate.touch()
        for log in followed:
            said = log.result()
            assert b"said" in said
            assert b"has no log" not in said
        never = runs.log(client, run_id, "never", follow=True)
        assert never.startswith(b"Task 'never' has no log: its condition is false")


def test_a_cached_task_says_so(up: Embedded, client: Client) -> None:
    spec = specs.container(["sh", "-c", "echo said"], name="cached-logs", cached=True)
    for _ in range(2):
        run_id = runs.start(client, spec)
        runs.finished(client, run_id)
    said = runs.log(client, run_id, "only").decode()
    assert said.startswith("Task 'only' has no log: answered from the cache")


def test_an_empty_log_is_empty(up: Embedded, client: Client) -> None:
    run_id = runs.start(client, specs.container(["true"]))
    runs.finished(client, run_id)
    assert b"has no log" not in runs.log(client, run_id, "only")
