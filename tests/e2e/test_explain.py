"""Plans, explanations and replays, against runs that really happened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tools.embedded import PENSTOCK, Embedded
from tools.testing import runs, specs

NAMES = ["wine_quality", "artifact_passing", "nested_pipelines", "conditions", "deep_loops", "collected_artifacts"]


def planned(client: Client, spec: dict[str, Any], **parameters: Any) -> insight_pb2.PlanPipelineResponse:
    request = insight_pb2.PlanPipelineRequest()
    json_format.ParseDict(spec, request.pipeline_spec)
    json_format.ParseDict({"parameters": parameters}, request)
    found: insight_pb2.PlanPipelineResponse = client.call(client.insight.PlanPipeline, request)
    return found


def flat(tasks: Any) -> Iterator[insight_pb2.PlannedTask]:
    for task in tasks:
        yield task
        yield from flat(task.children)


def why(client: Client, run_id: str, task: str = "") -> insight_pb2.ExplainTaskResponse:
    request = insight_pb2.ExplainTaskRequest(run_id=run_id, task=task)
    found: insight_pb2.ExplainTaskResponse = client.call(client.insight.ExplainTask, request)
    return found


def cache_answer(client: Client, run_id: str, task: str) -> insight_pb2.ExplainCacheResponse:
    request = insight_pb2.ExplainCacheRequest(run_id=run_id, task=task)
    found: insight_pb2.ExplainCacheResponse = client.call(client.insight.ExplainCache, request)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_foretells_the_second_run(client: Client, name: str) -> None:
    spec = specs.compiled(name)
    for _ in range(2):
        plan = {task.path: task for task in flat(planned(client, spec).tasks)}
        run_id = runs.start(client, spec)
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        rows = runs.tasks(client, run_id)
    assert plan.keys() >= {path for path in rows if path and rows[path].state != "OMITTED"}
    for path, task in plan.items():
        if task.decision in ("CACHED", "SKIPPED"):
            assert rows[path].state == task.decision, path
    leaves = [task for task in plan.values() if task.kind == "container" and rows.get(task.path)]
    assert all(task.decision == "CACHED" for task in leaves if rows[task.path].state == "CACHED")
    assert leaves


def test_a_plan_shows_the_pods_and_the_loop(client: Client) -> None:
    spec = specs.compiled("static_loop")
    tasks = {task.path: task for task in flat(planned(client, spec).tasks)}
    assert (tasks["for-loop-2"].iterations, tasks["for-loop-2"].parallelism_limit) == (3, 1)
    assert tasks["for-loop-2[2]/add"].inputs["left"] == 3
    assert tasks["total"].unknown_inputs["values"]
    assert "image" in tasks["total"].container.fields


def test_a_plan_has_every_problem_with_its_place(client: Client) -> None:
    spec = specs.chain({"a": ["true"], "b": ["true"]})
    spec["root"]["dag"]["tasks"]["b"]["dependentTasks"] = ["nobody"]
    spec["root"]["dag"]["tasks"]["a"]["triggerPolicy"] = {"condition": "1 +"}
    found = planned(client, spec)
    assert not found.tasks
    assert {problem.place for problem in found.problems} == {
        "root.dag.tasks.b.dependentTasks",
        "root.dag.tasks.a.triggerPolicy.condition",
    }
    wrong = planned(client, specs.compiled("conditions"), value="many")
    assert wrong.problems[0].place == "runtime_config.parameters.value"


def test_why_of_a_run_with_failures(client: Client) -> None:
    spec = specs.chain({"fails": ["sh", "-c", "echo the reason; exit 3"], "behind": ["true"], "last": ["true"]})
    run_id = runs.start(client, spec)
    runs.finished(client, run_id)
    assert "the reason" in why(client, run_id, "fails").summary
    assert "no retries" in why(client, run_id, "fails").summary
    behind = why(client, run_id, "behind")
    assert [reason.task for reason in behind.reasons] == ["fails"]
    last = why(client, run_id, "last")
    assert "exited with code 3" in last.reasons[0].text, "the cause, not what is in between"
    assert [reason.task for reason in why(client, run_id).reasons] == ["fails"]


def test_why_of_a_skipped_task_shows_its_inputs(client: Client) -> None:
    run_id = runs.start(client, specs.compiled("conditions"))
    runs.finished(client, run_id)
    summary = why(client, run_id, "condition-branches-1/condition-2").summary
    assert "> 10" in summary
    assert "7" in summary


def test_why_a_task_waits(client: Client) -> None:
    spec = specs.siblings({"slow": specs.LONG, "other": ["true"]}, name="waiting")
    spec["root"]["dag"]["tasks"]["other"]["dependentTasks"] = ["slow"]
    run_id = runs.start(client, spec)
    runs.until(lambda: runs.tasks(client, run_id), lambda tasks: "slow" in tasks and tasks["slow"].state == "RUNNING")
    found = why(client, run_id, "other")
    assert found.state == ""
    assert found.summary == "waits for 1 of 1 tasks to succeed: slow"
    assert found.reasons[0].text == "attempt 1 is running"
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    runs.finished(client, run_id)
    assert why(client, run_id, "slow").summary == "the run was terminated"


def test_why_of_a_backoff(client: Client) -> None:
    spec = specs.container(["false"], name="backoff")
    policy = {"maxRetryCount": 1, "backoffDuration": "600s"}
    spec["root"]["dag"]["tasks"]["only"]["retryPolicy"] = policy
    run_id = runs.start(client, spec)
    runs.until(lambda: why(client, run_id, "only"), lambda found: "after its backoff" in found.summary)
    assert "exited with code 1" in why(client, run_id, "only").reasons[0].text
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    runs.finished(client, run_id)


def test_the_cache_is_explained(client: Client) -> None:
    spec = specs.compiled("embedded_text")
    first = runs.start(client, spec, {"name": "first"})
    runs.finished(client, first)
    again = runs.start(client, spec, {"name": "first"})
    runs.finished(client, again)
    hit = cache_answer(client, again, "text")
    assert hit.outcome == insight_pb2.ExplainCacheResponse.OUTCOME_HIT
    assert hit.other_run_id == first
    other = runs.start(client, spec, {"name": "other"})
    runs.finished(client, other)
    miss = cache_answer(client, other, "text")
    assert miss.outcome == insight_pb2.ExplainCacheResponse.OUTCOME_MISS
    assert [(one.field, one.this_value, one.other_value) for one in miss.differences] == [
        ("inputParameterValues.value", '"other"', '"first"')
    ]
    off = runs.start(client, spec, caching=False)
    runs.finished(client, off)
    assert cache_answer(client, off, "text").outcome == insight_pb2.ExplainCacheResponse.OUTCOME_NOT_ASKED


def test_what_works_in_the_workspace_is_not_asked_for(client: Client) -> None:
    spec = specs.compiled("shared_workspace")
    assert {task.caching for task in flat(planned(client, spec).tasks)} == {False}
    run_id = runs.start(client, spec)
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    found = cache_answer(client, run_id, "in-workspace-2")
    assert found.outcome == insight_pb2.ExplainCacheResponse.OUTCOME_NOT_ASKED
    assert "the run's workspace" in found.summary


def test_a_result_whose_artifact_is_gone(client: Client) -> None:
    spec = specs.container(
        ["sh", "-c", 'mkdir -p "$(dirname "$0")" && echo x > "$0"', "{{$.outputs.artifacts['data'].path}}"],
        name="gone",
        artifacts={"data": "system.Dataset"},
        cached=True,
    )
    first = runs.start(client, spec)
    runs.finished(client, first)
    reply = client.call(client.insight.ListArtifacts, insight_pb2.ListArtifactsRequest(run_id=first))
    Path(reply.artifacts[0].uri.removeprefix("file://")).unlink()
    second = runs.start(client, spec)
    runs.finished(client, second)
    assert runs.tasks(client, second)["only"].state == "SUCCEEDED"
    assert "is gone" in cache_answer(client, second, "only").summary


@pytest.mark.parametrize("name", ["wine_quality", "deep_loops", "error_in_the_status", "one_of_artifacts"])
def test_a_real_log_replays(up: Embedded, client: Client, name: str, tmp_path: Path) -> None:
    run_id = runs.start(client, specs.compiled(name))
    runs.finished(client, run_id)
    log = tmp_path / "run.log"
    command = [PENSTOCK, "runs", "events", run_id, "-o", str(log), "--server", up.grpc]
    subprocess.run(command, check=True, timeout=60)
    replay = [sys.executable, "-m", "penstock_executor.main", "replay", str(log)]
    done = subprocess.run(replay, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "decided the same"
    lines = log.read_text().splitlines()
    ended = next(number for number, line in enumerate(lines) if '"AttemptEnded"' in line or '"hit"' in line)
    log.write_text("\n".join([*lines[:ended], *lines[ended + 1 :]]))
    done = subprocess.run(replay, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, "an event is missing, and the replay does not notice"
    assert "in the replay" in done.stdout


@pytest.mark.parametrize("content", ["", "no json\n", json.dumps({"format": 99}) + "\n", '{"format": 1}\n'])
def test_what_is_no_log_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.log"
    file.write_text(content)
    replay = [sys.executable, "-m", "penstock_executor.main", "replay", str(file)]
    done = subprocess.run(replay, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "line 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_shows_them(up: Embedded, client: Client) -> None:
    file = str(specs.COMPILED / "wine_quality.yaml")
    done = subprocess.run([PENSTOCK, "plan", file, "--pods", "--server", up.grpc], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "iterations: 3" in done.stdout
    run_id = runs.start(client, specs.container(["false"], cached=True))
    runs.finished(client, run_id)
    shown = subprocess.run([PENSTOCK, "runs", "why", run_id, "--server", up.grpc], capture_output=True, text=True)
    assert "exited with code 1" in shown.stdout
    command = [PENSTOCK, "cache", "explain", run_id, "only", "--server", up.grpc]
    assert "miss: " in subprocess.run(command, capture_output=True, text=True).stdout


def test_what_a_process_cannot_do_is_said_before_and_by_the_task(up: Embedded, client: Client, tmp_path: Path) -> None:
    spec = specs.container([])
    del spec["deploymentSpec"]["executors"]["exec-only"]["container"]["command"]
    [problem] = planned(client, spec).problems
    assert problem.place == "deploymentSpec.executors.exec-only"
    assert "names no command" in problem.message
    run_id = runs.start(client, spec)
    assert runs.finished(client, run_id).state == run_pb2.FAILED
    task = runs.tasks(client, run_id)["only"]
    assert task.error == problem.message
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(spec))
    done = subprocess.run([PENSTOCK, "plan", str(file), "--server", up.grpc], capture_output=True, text=True)
    assert done.returncode == 1
    assert "`--backend container`" in done.stderr
    assert "Traceback" not in done.stderr
