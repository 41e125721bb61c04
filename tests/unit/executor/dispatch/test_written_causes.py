"""What of a failure's cause gets into the log of a run, which the release before has to read."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.attempts import AttemptKey, TaskOutcome
from penstock_executor.dispatch.convert import engine_event, written_causes
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import ContainerNode, RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, FailureCause, FailureKind, RunStarted, encode
from penstock_ir.loader import document_from_json

from tools.testing import specs


def node(annotations: dict[str, str]) -> ContainerNode:
    spec = specs.container(["true"])
    spec["deploymentSpec"]["executors"]["exec-only"]["container"]["resources"] = {"resourceMemoryLimit": "1Gi"}
    settings: dict[str, Any] = {"podMetadata": {"annotations": annotations}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": settings}}}}}
    pipeline = compile_pipeline(document_from_json({"pipeline_spec": spec, "platform_spec": platform}))
    state = RunState(RunContext("run", pipeline, {}, "file:///root"))
    apply(state, RunStarted(1))
    return state.open_tasks["only"]


@pytest.mark.parametrize(
    ("factor", "free", "cause", "written"),
    [
        ("", False, FailureCause.PREEMPTED, False),
        ("", True, FailureCause.PREEMPTED, True),
        ("2", False, FailureCause.PREEMPTED, False),
        ("", True, FailureCause.OUT_OF_MEMORY, False),
        ("2", False, FailureCause.OUT_OF_MEMORY, True),
    ],
)
def test_a_cause_is_written_where_something_follows_from_it(
    factor: str, free: bool, cause: FailureCause, written: bool
) -> None:
    annotations = {"penstock.dev/oom-memory-factor": factor} if factor else {}
    outcome = TaskOutcome(AttemptKey("run", "only", 1), 1, 2, failure=FailureKind.USER, cause=cause)
    event = engine_event(outcome, written_causes(node(annotations), free_preemptions=free))
    assert isinstance(event, AttemptEnded)
    assert event.cause == (cause if written else None)
    assert (b"cause" in encode(event)) is written


def test_a_task_that_has_moved_on_is_no_error() -> None:
    assert written_causes(None, free_preemptions=True) == {FailureCause.PREEMPTED}
