"""What a launch takes from its pipeline and its attempt."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.attempts import TaskLaunch
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, BackoffElapsed, FailureCause, FailureKind, RunStarted
from penstock_ir.loader import document_from_json
from penstock_ir.worker_sharing import AskedSharing

from tools.testing import specs
from tools.testing.launches import launches_of


@pytest.mark.parametrize(
    ("config", "succeeded", "failed"),
    [
        ({}, None, None),
        ({"resourceTtlOnCompletion": 60}, 60.0, 60.0),
        ({"resourceTtlOnSuccess": 5, "resourceTtlOnCompletion": 60}, 5.0, 60.0),
        ({"resourceTtlOnFailure": 5}, None, 5.0),
        ({"resourceTtlOnFailure": 0, "resourceTtlOnSuccess": -1}, None, None),
    ],
)
def test_time_to_live(config: dict[str, Any], succeeded: float | None, failed: float | None) -> None:
    platform = {"platforms": {"kubernetes": {"pipelineConfig": config}}}
    spec = {"pipeline_spec": specs.chain({"a": ["true"]}), "platform_spec": platform}
    context = RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root")
    state = RunState(context)
    apply(state, RunStarted(1))
    launch = task_launch(state.open_tasks["a"], context)
    assert (launch.ttl_succeeded, launch.ttl_failed) == (succeeded, failed)


def test_placeholders_of_image_and_resources() -> None:
    """Of each text that alone is replaced; the tasks that give the values say "text" and 1 here."""
    document = document_from_json(specs.compiled("machine_from_upstream"))
    launch = next(one for one in launches_of(document, {}) if one.task_name == "resources-of")
    assert launch.image == "python:text"
    limits = {"cpu": "text", "memory": "2Gi", "example.com/text": "1"}
    assert launch.inputs["config"] == {"resources": {"limits": limits}}


def test_after_an_attempt_that_ran_out_of_memory_there_is_more() -> None:
    """Of both, in the Pod and in what the task is told; other failures change nothing, and neither does the cache."""
    spec = specs.container(["true"], cached=True)
    spec["root"]["dag"]["tasks"]["only"]["retryPolicy"] = {"maxRetryCount": 9}
    plain = compile_pipeline(document_from_json(spec))
    resources = {"resourceMemoryLimit": "1Gi", "resourceMemoryRequest": "512Mi"}
    spec["deploymentSpec"]["executors"]["exec-only"]["container"]["resources"] = resources
    annotations = {"penstock.dev/oom-memory-factor": "2", "penstock.dev/oom-memory-max": "3Gi"}
    settings = {"podMetadata": {"annotations": annotations}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": settings}}}}}
    pipeline = compile_pipeline(document_from_json({"pipeline_spec": spec, "platform_spec": platform}))
    context = RunContext("run", pipeline, {}, "file:///root", caching=False)
    state = RunState(context)
    apply(state, RunStarted(1))
    node = state.open_tasks["only"]
    found = []
    causes = [FailureCause.OUT_OF_MEMORY, None, FailureCause.OUT_OF_MEMORY]
    for attempt, cause in enumerate((*causes, None), 1):
        launch = task_launch(node, context)
        found.append((launch.resources["resourceMemoryLimit"], launch.resources["resourceMemoryRequest"]))
        apply(state, AttemptEnded("only", attempt, attempt * 10, failure=FailureKind.USER, cause=cause))
        apply(state, BackoffElapsed("only", attempt, attempt * 10 + 1))
    assert found == [("1Gi", "512Mi"), ("2Gi", "1Gi"), ("2Gi", "1Gi"), ("3Gi", "2Gi")]
    keys = []
    for one in (plain, pipeline):
        cached = RunState(RunContext("run", one, {}, "file:///root"))
        apply(cached, RunStarted(1))
        keys.append(cached.open_tasks["only"].fingerprint)
    assert keys[0] and keys[0] == keys[1]


def test_output_uris_are_new_for_every_attempt() -> None:
    """And for every task of every run, so nothing is ever overwritten."""
    uris = [
        launch.output_artifacts["data"].artifact.uri
        for run_id in ("run-1", "run-2")
        for launch in attempts(run_id, failures=2)
    ]
    assert len(set(uris)) == 6, uris
    roots = [launch.task_root for launch in attempts("run-1", failures=2)]
    assert len(set(roots)) == 3, roots


def attempts(run_id: str, *, failures: int) -> list[TaskLaunch]:
    spec = specs.container(["true"], artifacts={"data": "system.Dataset"})
    spec["root"]["dag"]["tasks"]["only"]["retryPolicy"] = {"maxRetryCount": failures, "backoffDuration": "0s"}
    context = RunContext(run_id, compile_pipeline(document_from_json(spec)), {}, "file:///root")
    state = RunState(context)
    apply(state, RunStarted(1))
    found = [task_launch(state.open_tasks["only"], context)]
    for number in range(failures):
        apply(state, AttemptEnded("only", number + 1, 2 + number, failure=FailureKind.USER))
        found.append(task_launch(state.open_tasks["only"], context))
    return found


@pytest.mark.parametrize(
    ("of_the_task", "of_the_run", "asked"),
    [
        (None, "", ""),
        (None, "run", "run"),
        (None, "off", "off"),
        ("run", "", "run"),
        ("off", "namespace", "off"),
        ("namespace", "off", "namespace"),
    ],
)
def test_what_a_task_asks_of_workers_counts_before_its_run(
    of_the_task: str | None, of_the_run: AskedSharing, asked: str
) -> None:
    """It is neither an annotation of the Pod, which policies would look at, nor part of the cache key."""
    spec = specs.container(["true"], cached=True)
    wish = {} if of_the_task is None else {"penstock.dev/workers": of_the_task}
    found = compile_pipeline(document_from_json(specs.annotated(wish, spec)))
    context = RunContext("run", found, {}, "file:///root", workers=of_the_run)
    state = RunState(context)
    apply(state, RunStarted(1))
    node = state.open_tasks["only"]
    launch = task_launch(node, context)
    assert (launch.workers, launch.kubernetes) == (asked, {})
    plain = RunState(RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root"))
    apply(plain, RunStarted(1))
    assert node.fingerprint and node.fingerprint == plain.open_tasks["only"].fingerprint
