"""Decisions of the engine, with outcomes of attempts given by the tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.engine.effects import Cancel, Effect, FinishRun, Launch, Release, Wake, WakeRun
from penstock_executor.engine.machine import apply, outstanding
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    BackoffElapsed,
    DeadlineExceeded,
    Event,
    FailureCause,
    FailureKind,
    RetryRequested,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_ir.loader import document_from_json
from penstock_ir.task_rows import TaskState

from tools.simulate.invariants import summary, walk
from tools.testing import specs


class Drive:
    """A run whose log is kept, so that a replay can be compared."""

    def __init__(self, spec: dict[str, Any], **options: Any) -> None:
        pipeline = compile_pipeline(document_from_json(spec))
        self.context = RunContext("run", pipeline, {}, "file:///root", **options)
        self.state = RunState(self.context)
        self.log: list[bytes] = []
        self.at = 0

    def give(self, event: Event) -> list[Effect]:
        """The effects, but for the release that every end of an attempt brings."""
        decision = apply(self.state, event)
        if decision.accepted:
            self.log.append(encode(event))
        released = [effect for effect in decision.effects if isinstance(effect, Release)]
        ended = decision.accepted and isinstance(event, AttemptEnded)
        assert released == ([Release(event.path, event.attempt)] if ended else [])  # type: ignore[union-attr]
        return [effect for effect in decision.effects if not isinstance(effect, Release)]

    def start(self) -> list[Effect]:
        return self.give(RunStarted(1))

    def end(
        self,
        path: str,
        attempt: int = 1,
        failure: FailureKind | None = None,
        error: str = "",
        cause: FailureCause | None = None,
    ) -> list[Effect]:
        self.at += 1
        return self.give(AttemptEnded(path, attempt, self.at, failure=failure, error=error, cause=cause))

    def states(self) -> dict[str, str]:
        return {node.path: node.state.value for node in walk(self.state) if node.path}

    def replayed(self) -> RunState:
        state = RunState(self.context)
        for line in self.log:
            apply(state, decode(line))
        return state


def chain(*names: str) -> dict[str, Any]:
    return specs.chain({name: ["true"] for name in names})


def test_a_chain_goes_one_by_one() -> None:
    run = Drive(chain("a", "b"))
    assert run.start() == [Launch("a", 1)]
    assert run.end("a") == [Launch("b", 1)]
    assert run.end("b") == [FinishRun()]
    assert run.states() == {"a": "SUCCEEDED", "b": "SUCCEEDED"}


def test_events_that_come_twice_change_nothing() -> None:
    run = Drive(chain("a", "b"))
    run.start()
    assert apply(run.state, AttemptStarted("a", 1, 1, "log")).accepted
    assert not apply(run.state, AttemptStarted("a", 1, 1, "log")).accepted
    run.end("a")
    assert not apply(run.state, AttemptEnded("a", 1, 9)).accepted
    assert not apply(run.state, AttemptEnded("nobody", 1, 9)).accepted
    assert not apply(run.state, RunStarted(9)).accepted


def test_what_is_behind_a_failure_is_omitted() -> None:
    run = Drive(chain("a", "b", "c"))
    run.start()
    assert run.end("a", failure=FailureKind.USER, error="exit code 1") == [FinishRun()]
    assert run.states() == {"a": "FAILED", "b": "OMITTED", "c": "OMITTED"}
    assert run.state.root is not None
    assert run.state.root.state is TaskState.FAILED
    assert "'a'" in run.state.root.error
    assert "exit code 1" in run.state.root.error


def test_retries_wait_longer_and_end() -> None:
    spec = chain("a")
    policy = {"maxRetryCount": 2, "backoffDuration": "1s", "backoffFactor": 3}
    spec["root"]["dag"]["tasks"]["a"]["retryPolicy"] = policy
    run = Drive(spec)
    run.start()
    assert run.end("a", 1, FailureKind.USER) == [Wake("a", 1, 1 + 1000)]
    assert run.give(BackoffElapsed("a", 1, 2000)) == [Launch("a", 2)]
    assert run.give(BackoffElapsed("a", 1, 2000)) == []
    assert run.end("a", 1) == [], "an end of the first attempt came late"
    assert run.end("a", 2, FailureKind.USER) == [Wake("a", 2, run.at + 3000)]
    run.give(BackoffElapsed("a", 2, 9000))
    assert run.end("a", 3, FailureKind.USER) == [FinishRun()]


@pytest.mark.parametrize(
    ("options", "retries"),
    [({}, 3), ({"infrastructure_retries": 0}, 0), ({"infrastructure_retries": 1}, 1)],
)
def test_the_platforms_failures_have_a_budget_of_their_own(options: dict[str, Any], retries: int) -> None:
    run = Drive(chain("a"), **options)
    run.start()
    for attempt in range(1, retries + 1):
        (wake,) = run.end("a", attempt, FailureKind.INFRASTRUCTURE)
        assert isinstance(wake, Wake)
        run.give(BackoffElapsed("a", attempt, wake.at))
    assert run.end("a", retries + 1, FailureKind.INFRASTRUCTURE) == [FinishRun()]
    assert summary(run.replayed()) == summary(run.state)


def test_a_task_may_have_a_budget_of_its_own() -> None:
    """For the platform's failures, whatever the run says."""
    settings = {"podMetadata": {"annotations": {"penstock.dev/infrastructure-retries": "1"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": settings}}}}}
    run = Drive({"pipeline_spec": specs.container(["true"]), "platform_spec": platform}, infrastructure_retries=7)
    run.start()
    (wake,) = run.end("only", 1, FailureKind.INFRASTRUCTURE)
    assert isinstance(wake, Wake)
    run.give(BackoffElapsed("only", 1, wake.at))
    assert run.end("only", 2, FailureKind.INFRASTRUCTURE) == [FinishRun()]


def test_what_is_preempted_uses_no_budget() -> None:
    run = Drive(chain("a"), infrastructure_retries=1)
    run.start()
    delays = []
    for attempt in range(1, 40):
        (wake,) = run.end("a", attempt, FailureKind.INFRASTRUCTURE, cause=FailureCause.PREEMPTED)
        assert isinstance(wake, Wake)
        delays.append(wake.at - run.at)
        run.at = wake.at
        run.give(BackoffElapsed("a", attempt, wake.at))
    assert all(min(500 << n, 60_000) <= delay <= min(1000 << n, 120_000) for n, delay in enumerate(delays)), delays
    assert len(set(delays)) > 30, "spread, for many are preempted at one moment"
    # The budget is still there, and it is one.
    (wake,) = run.end("a", 40, FailureKind.INFRASTRUCTURE)
    assert isinstance(wake, Wake)
    run.give(BackoffElapsed("a", 40, wake.at))
    assert run.end("a", 41, FailureKind.INFRASTRUCTURE) == [FinishRun()]
    assert summary(run.replayed()) == summary(run.state)


def test_a_wrong_configuration_is_not_retried() -> None:
    spec = chain("a")
    spec["root"]["dag"]["tasks"]["a"]["retryPolicy"] = {"maxRetryCount": 5}
    run = Drive(spec)
    run.start()
    assert run.end("a", failure=FailureKind.CONFIGURATION) == [FinishRun()]


def test_termination_cancels_what_runs_and_starts_nothing() -> None:
    run = Drive(chain("a", "b"))
    run.start()
    assert run.give(TerminateRequested(2)) == [Cancel("a", 1)]
    assert run.end("a", failure=FailureKind.CANCELED) == [FinishRun()]
    assert run.states() == {"a": "CANCELED", "b": "OMITTED"}


def test_exit_tasks_run_after_failure_and_termination() -> None:
    spec = chain("a", "b")
    strategy = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    spec["root"]["dag"]["tasks"]["b"]["triggerPolicy"] = strategy
    for stop in (False, True):
        run = Drive(spec)
        run.start()
        if stop:
            run.give(TerminateRequested(2))
        assert run.end("a", failure=FailureKind.CANCELED if stop else FailureKind.USER) == [Launch("b", 1)]
        assert run.end("b") == [FinishRun()]


def test_retry_of_a_run_does_again_what_failed_only() -> None:
    run = Drive(chain("a", "b", "c"))
    run.start()
    run.end("a")
    run.end("b", failure=FailureKind.USER)
    assert run.give(RetryRequested(50)) == [Launch("b", 2)]
    assert run.end("b", 2) == [Launch("c", 2)]
    run.end("c", 2)
    assert run.states() == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "SUCCEEDED"}
    assert summary(run.replayed()) == summary(run.state)


def test_outstanding_launches_are_in_the_order_in_which_they_were_decided() -> None:
    run = Drive(specs.siblings({"a": ["true"], "b": ["true"], "c": ["true"]}))
    run.start()
    (wake,) = run.end("a", failure=FailureKind.INFRASTRUCTURE)
    assert isinstance(wake, Wake)
    run.give(BackoffElapsed("a", 1, wake.at))
    assert outstanding(run.replayed()) == [Launch("b", 1), Launch("c", 1), Launch("a", 2)]


def test_outstanding_is_what_a_new_owner_has_to_do() -> None:
    run = Drive(chain("a", "b"))
    run.start()
    assert outstanding(run.replayed()) == [Launch("a", 1)]
    run.end("a")
    assert outstanding(run.replayed()) == [Launch("b", 1)]
    run.end("b")
    assert outstanding(run.replayed()) == [FinishRun()]


def test_a_condition_that_cannot_be_decided_fails_the_task() -> None:
    spec = chain("a")
    condition = {"condition": "inputs.parameter_values['x'] == 1"}
    spec["root"]["dag"]["tasks"]["a"]["triggerPolicy"] = condition
    run = Drive(spec)
    assert run.start() == [FinishRun()]
    assert run.states() == {"a": "FAILED"}


def loop(items: list[int], limit: int = 0) -> dict[str, Any]:
    spec = chain("a")
    body = {"inputDefinitions": {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}}
    spec["components"]["comp-loop"] = {**body, "dag": {"tasks": {"a": spec["root"]["dag"]["tasks"].pop("a")}}}
    task: dict[str, Any] = {"taskInfo": {"name": "loop"}, "componentRef": {"name": "comp-loop"}}
    task["parameterIterator"] = {"itemInput": "x", "items": {"raw": str(items)}}
    if limit:
        task["iteratorPolicy"] = {"parallelismLimit": limit}
    spec["root"]["dag"]["tasks"]["loop"] = task
    return spec


def test_a_limit_is_kept_exactly() -> None:
    run = Drive(loop([1, 2, 3, 4, 5], limit=2))
    assert run.start() == [Launch("loop[0]/a", 1), Launch("loop[1]/a", 1)]
    assert run.end("loop[1]/a") == [Launch("loop[2]/a", 1)]
    assert run.end("loop[0]/a") == [Launch("loop[3]/a", 1)]
    assert run.end("loop[2]/a") == [Launch("loop[4]/a", 1)]
    assert run.end("loop[3]/a") == []
    assert run.end("loop[4]/a") == [FinishRun()]


def test_a_retried_loop_that_is_ended_early_closes() -> None:
    run = Drive(loop([1, 2, 3, 4], limit=1))
    run.start()
    for index in range(4):
        run.end(f"loop[{index}]/a", failure=FailureKind.USER if index == 1 else None)
    assert run.give(RetryRequested(50)) == [Launch("loop[1]/a", 2)]
    assert run.give(TerminateRequested(60)) == [Cancel("loop[1]/a", 2)]
    assert run.end("loop[1]/a", 2, FailureKind.CANCELED) == [FinishRun()]


def test_fail_fast_starts_nothing_but_exit_tasks() -> None:
    spec = chain("a", "b", "exit")
    tasks = spec["root"]["dag"]["tasks"]
    del tasks["b"]["dependentTasks"]
    tasks["exit"].update(dependentTasks=["a", "b"], triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"})
    run = Drive(spec)
    run.context = replace(run.context, fail_fast=True)
    run.state = RunState(run.context)
    run.start()
    assert run.end("a", failure=FailureKind.USER, error="exit code 1") == [Cancel("b", 1)]
    assert run.end("b", failure=FailureKind.CANCELED) == [Launch("exit", 1)]
    assert run.end("exit") == [FinishRun()]
    assert run.states() == {"a": "FAILED", "b": "CANCELED", "exit": "SUCCEEDED"}


def test_a_deadline_counts_from_the_start_and_once() -> None:
    run = Drive(chain("a", "b"))
    run.context = replace(run.context, deadline_millis=1000)
    run.state = RunState(run.context)
    assert run.start() == [WakeRun(1001), Launch("a", 1)]
    assert WakeRun(1001) in outstanding(run.replayed())
    assert run.give(DeadlineExceeded(900)) == [], "too early"
    assert run.give(DeadlineExceeded(1001)) == [Cancel("a", 1)]
    assert run.give(DeadlineExceeded(1002)) == []
    assert run.end("a", failure=FailureKind.CANCELED) == [FinishRun()]
    assert run.state.root is not None
    assert run.state.root.error == "the run exceeded its deadline of 1 seconds"


def test_histories_never_go_back_whatever_the_clocks_say() -> None:
    """The end was told by an executor whose clock is ahead of the server's, which tells the retry."""
    run = Drive(chain("a"))
    run.give(RunStarted(100))
    run.give(AttemptEnded("a", 1, 200, failure=FailureKind.USER))
    run.give(RetryRequested(150))
    run.give(AttemptEnded("a", 2, 160))
    root = run.state.root
    assert root is not None
    assert [at for _, at in root.history] == [100, 100, 200, 200, 200]
    assert root.finished_at == 200


def test_retry_of_a_run_does_again_what_is_behind_a_change() -> None:
    """Also an exit task that had succeeded, and what depends on it."""
    spec = chain("a", "exit", "behind")
    strategy = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    spec["root"]["dag"]["tasks"]["exit"]["triggerPolicy"] = strategy
    run = Drive(spec)
    run.start()
    assert run.end("a", failure=FailureKind.USER) == [Launch("exit", 1)]
    assert run.end("exit") == [Launch("behind", 1)]
    assert run.end("behind") == [FinishRun()]
    assert run.give(RetryRequested(50)) == [Launch("a", 2)]
    assert run.end("a", 2) == [Launch("exit", 2)]
    assert run.end("exit", 2) == [Launch("behind", 2)]
    assert run.end("behind", 2) == [FinishRun()]
