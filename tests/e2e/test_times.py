"""Times of runs and tasks: a retry does not change those of earlier attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tools.embedded import Embedded
from tools.testing import runs, specs


def test_times_of_a_retried_run(up: Embedded, client: Client, tmp_path: Path) -> None:
    """`before` and `beside` succeed at once and stay as they are; `fails` fails first, `behind` never ran."""
    spec = specs.chain({"before": ["true"], "fails": ["sh", "-c", f"test -e {tmp_path}/go"], "behind": ["true"]})
    spec["root"]["dag"]["tasks"]["beside"] = {"taskInfo": {"name": "beside"}, "componentRef": {"name": "comp-before"}}
    run_id = runs.start(client, spec)
    first = runs.finished(client, run_id)
    assert first.state == run_pb2.FAILED
    kept = {"before", "beside"}
    details = {task.display_name: task for task in first.run_details.task_details if task.display_name in kept}
    written = {name: one for name, one in updates(up, run_id).items() if name in kept}
    assert details.keys() == written.keys() == kept
    (tmp_path / "go").touch()
    client.call(client.runs.RetryRun, run_pb2.RetryRunRequest(run_id=run_id))
    again = runs.until(lambda: runs.get(client, run_id), lambda run: run.state == run_pb2.SUCCEEDED)
    states = [change.state for change in again.state_history]
    once = [run_pb2.PENDING, run_pb2.RUNNING]
    assert states == [*once, run_pb2.FAILED, *once, run_pb2.SUCCEEDED]
    assert again.state_history[: len(first.state_history)] == first.state_history
    for one in (again, *again.run_details.task_details):
        times = [change.update_time.ToNanoseconds() for change in one.state_history]
        assert times == sorted(times), one
    for task in again.run_details.task_details:
        if task.display_name in kept:
            assert task == details[task.display_name]
        else:
            assert task.end_time.ToNanoseconds() >= again.state_history[3].update_time.ToNanoseconds()
    assert {name: one for name, one in updates(up, run_id).items() if name in kept} == written
    assert again.finished_at.ToNanoseconds() >= max(
        task.end_time.ToNanoseconds() for task in again.run_details.task_details
    )


def updates(up: Embedded, run_id: str) -> dict[str, Any]:
    """When the store has made and last written each execution, by its task's name."""
    store = lineage.store(up.grpc)
    context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
    return {
        one.name.rpartition("/")[2]: (one.create_time_since_epoch, one.last_update_time_since_epoch)
        for one in store.get_executions_by_context(context.id)
    }
