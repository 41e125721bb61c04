"""What is said of a task whose attempts were preempted, or ran out of memory, and of what they run in."""

from __future__ import annotations

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, Event, FailureCause, FailureKind, RunStarted, encode
from penstock_ir.loader import document_from_json
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState
from penstock_server.domain.explanation import Explainer, Explanation
from penstock_server.domain.history import TaskHistory, history_of
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.task import Task

from tools.testing import specs


def reasons(memory: str, *causes: FailureCause | None, state: TaskState = TaskState.PENDING) -> list[str]:
    """Of a task whose attempts ended for these causes."""
    spec = specs.container(["true"])
    spec["deploymentSpec"]["executors"]["exec-only"]["container"]["resources"] = {"resourceMemoryLimit": memory}
    settings = {"podMetadata": {"annotations": {"penstock.dev/oom-memory-factor": "2"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": settings}}}}}
    pipeline = compile_pipeline(document_from_json({"pipeline_spec": spec, "platform_spec": platform}))
    events: list[Event] = [RunStarted(1)]
    for number, cause in enumerate(causes, 1):
        kind = FailureKind.INFRASTRUCTURE if cause is FailureCause.PREEMPTED else FailureKind.USER
        events.append(AttemptEnded("only", number, number, failure=kind, error="why", cause=cause))
    row = Task("run", "only", "only", TaskKind.CONTAINER, state, attempt=len(causes), phase=TaskPhase.BACKOFF)
    explainer = Explainer(run(), pipeline, [row], lambda path: history_of(map(encode, events), path), lambda: None)
    explanation = explainer.task("only")
    assert explanation is not None
    return [one.text for one in explanation.reasons]


def run() -> Run:
    return Run("run", "e", "run", "", "", "", "AVAILABLE", RunState.RUNNING, (), 1, 1, "hash")


def test_an_attempt_was_preempted() -> None:
    assert reasons("1Gi", FailureCause.PREEMPTED)[:1] == ["attempt 1 was preempted: why"]
    assert reasons("1Gi", None)[:1] == ["attempt 1 failed (user): why"]


def test_memory_grows() -> None:
    grows = "its memory grows to 2Gi after an attempt that ran out of it (oom-memory-factor)"
    assert grows in reasons("1Gi", None, FailureCause.OUT_OF_MEMORY)
    twice = reasons("1Gi", FailureCause.OUT_OF_MEMORY, FailureCause.PREEMPTED, FailureCause.OUT_OF_MEMORY)
    assert "its memory grows to 4Gi after 2 attempts that ran out of it (oom-memory-factor)" in twice
    from_an_input = reasons("{{$.inputs.parameters['m']}}", FailureCause.OUT_OF_MEMORY)
    assert "its memory grows after an attempt that ran out of it (oom-memory-factor)" in from_an_input
    assert not any("grows" in text for text in reasons("1Gi", None))
    over = reasons("1Gi", FailureCause.OUT_OF_MEMORY, state=TaskState.FAILED)
    assert not any("grows" in text for text in over)


@pytest.mark.parametrize("placement", ["worker w, its 17th task", "a Pod of its own: the task names no command", ""])
def test_what_an_attempt_runs_in(placement: str) -> None:
    where = f" in {placement}" if placement else ""
    assert explained(TaskState.RUNNING, placement).summary == f"attempt 2 is running{where}"
    assert explained(TaskState.SUCCEEDED, placement).summary == f"attempt 2 succeeded{where}"
    failed = [one.text for one in explained(TaskState.FAILED, placement).reasons]
    assert failed == ([f"attempt 2 ran{where}"] if where else [])


def explained(state: TaskState, placement: str) -> Explanation:
    pipeline = compile_pipeline(document_from_json({"pipeline_spec": specs.container(["true"])}))
    row = Task("run", "only", "only", TaskKind.CONTAINER, state, attempt=2)
    explainer = Explainer(run(), pipeline, [row], lambda path: TaskHistory(), lambda: None, lambda task: placement)
    explanation = explainer.task("only")
    assert explanation is not None
    return explanation
