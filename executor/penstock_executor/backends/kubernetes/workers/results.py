"""From what a worker told of an attempt, or from how its Pod ended, to the attempt's outcome.

Invariants: pure. What a program did to itself is USER, as in a Pod of its own; what ended the worker under it is judged
as for any Pod (`verdict`). Times that cannot be true are not taken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock_ir.event_log import FailureKind

from penstock_executor.agent.protocol import MAX_RESULT_BYTES, AttemptResult
from penstock_executor.agent.results import outputs_of, parse_result
from penstock_executor.artifacts.output_files import OutputError
from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.attempt_life import StopReason
from penstock_executor.backends.kubernetes.verdict import Failure, failure_of
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_executor.backends.observed_times import attempt_times, believable
from penstock_executor.engine.names import log_uri

_MAX_ERROR = 4096


def told_result(message: Mapping[str, Any]) -> AttemptResult | None:
    """Of `ended`; None when it is none that this version reads."""
    try:
        data = json.dumps(message.get("result")).encode()
    except (ValueError, RecursionError):
        return None
    return parse_result(data) if len(data) <= MAX_RESULT_BYTES else None


def begun_by(view: PodView) -> frozenset[str] | None:
    """The attempts that the agent of an ended worker had begun and whose results nobody had taken; None when nobody saw
    how it ended."""
    agent = view.container("agent")
    if agent is None:
        return frozenset()
    if agent.terminated is None:
        return None if agent.running_since else frozenset()
    if not agent.terminated.message.strip():
        return frozenset()
    try:
        found = json.loads(agent.terminated.message)["begun"]
        return frozenset(str(one) for one in found)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def outcome_of(attempt: WorkerAttempt, view: PodView) -> TaskOutcome:
    """`view` is the worker's Pod as it is now."""
    task, result = attempt.task, attempt.result
    failure = failure_of(
        view, result, deadline_seconds=task.deadline_seconds, image=task.image, wrapped=bool(task.command)
    )
    if failure is None:
        assert result is not None
        try:
            outputs = outputs_of(task, result)
        except OutputError as error:
            failure = Failure(FailureKind.USER, str(error))
        else:
            done = _outcome(attempt, view)
            return replace(done, parameters=outputs.parameters, artifacts=outputs.artifacts)
    if attempt.state.stop is StopReason.CANCELED:
        failure = Failure(FailureKind.CANCELED, "the run was terminated")
    elif attempt.state.stop is StopReason.DEADLINE:
        text = f"the deadline of {task.deadline_seconds:g} seconds was exceeded"
        failure = Failure(FailureKind.USER, text, wants_log=True)
    text = failure.text
    if failure.wants_log and result is not None and result.tail.strip():
        text += f"; its last lines:\n{result.tail.strip()}"
    return replace(_outcome(attempt, view), failure=failure.kind, error=text[:_MAX_ERROR], cause=failure.cause)


def _outcome(attempt: WorkerAttempt, view: PodView) -> TaskOutcome:
    result = attempt.result
    exit_ = result.exit if result is not None else None
    now = time.time_ns() // 1_000_000
    told = (exit_.started_at, exit_.finished_at) if exit_ else (0, 0)
    started, finished = attempt_times(view.name, told, (attempt.began_at, now), attempt.began_at, now)
    ran = exit_.ran if exit_ is not None else True

    def checked(what: str, at: int) -> int:
        return believable(f"{view.name}: {what}", at, attempt.began_at, now, instead=0)

    times = replace(
        attempt.times(),
        fetched=checked("the arrival of its inputs", result.fetched_at if result is not None else 0),
        started=started if ran else 0,
        finished=finished if ran else 0,
        stored=checked("the end of its uploads", result.stored_at if result is not None else 0),
    )
    return TaskOutcome(
        key=attempt.key,
        started_at_millis=started,
        finished_at_millis=finished,
        exit_code=exit_.code if exit_ is not None else None,
        log_uri=log_uri(attempt.task.task_root),
        pod_name=view.name,
        times=times,
    )
