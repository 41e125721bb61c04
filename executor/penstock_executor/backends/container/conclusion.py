"""From an ended container to the outcome of its attempt: what an agent does in a Pod, done here once it has ended.

Invariants: what the wrapper wrote down decides; outputs are taken only of a program that ended well; taking them
again gives the same, so that an executor that dies meanwhile is followed by one that does it anew.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock_ir.event_log import FailureCause, FailureKind
from penstock_store.base import ArtifactStore
from penstock_store.files import path_of

from penstock_executor.agent.attempt import Attempt
from penstock_executor.agent.protocol import AgentTask, AttemptResult, ProcessExit, Transfer
from penstock_executor.agent.results import outputs_of
from penstock_executor.agent.share import Share
from penstock_executor.artifacts.output_files import OutputError
from penstock_executor.attempts import AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.state import ContainerState
from penstock_executor.backends.exit_texts import describe_exit, describe_failed_start, last_lines
from penstock_executor.backends.observed_times import attempt_times, begun
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import transfers_of
from penstock_executor.engine.names import log_uri
from penstock_executor.engine.task_config import kubernetes_resources

_MAX_ERROR = 4096
_OUT_OF_MEMORY = FailureKind.USER, "the program was killed because it used more memory than its limit (OOMKilled)", True


def log_file(task: TaskLaunch, directory: AttemptDirectory) -> Path:
    """Where the log is written while the program runs: in its final place, when that is a file."""
    path = path_of(log_uri(task.task_root))
    return path if path is not None else directory.log


def collect(
    task: TaskLaunch, directory: AttemptDirectory, open_store: Callable[[AgentTask, str], ArtifactStore], timeout: float
) -> AttemptResult:
    """What the attempt left; stores it. Blocks for as long as that takes. Raises TaskSpecError."""
    paths = TaskPaths(task)
    log = log_file(task, directory)
    agent = AgentTask(
        task_root=task.task_root,
        outputs={
            port: Transfer(one.uri, str(directory.on_host(one.path)))
            for port, one in transfers_of(task, paths).outputs.items()
        },
        parameters={name: str(directory.on_host(paths.parameter(name))) for name in task.output_parameters},
        metadata=str(directory.on_host(paths.metadata)),
        log=str(log) if log == directory.log else "",
        timeout=timeout,
    )
    share = Share(directory.share)
    attempt = Attempt(agent, share, directory.surroundings, lambda: open_store(agent, task.pipeline_root))
    try:
        return attempt.conclude(share.read_exit())
    finally:
        attempt.close()


def outcome_of(
    task: TaskLaunch,
    directory: AttemptDirectory,
    result: AttemptResult | None,
    state: ContainerState | None,
    *,
    times: AttemptTimes,
    canceled: bool,
    overdue: bool,
) -> TaskOutcome:
    """`state` None: the container is gone; `result` None: nobody could look. `times` of what came before the start."""
    exit_ = result.exit if result is not None else None
    failure = _failure(task, result, state, overdue=overdue)
    if failure is not None and canceled:
        failure = FailureKind.CANCELED, "the run was terminated", False
    log = log_file(task, directory)
    kept = log.exists() if log != directory.log else result is not None and result.log_stored
    now = time.time_ns() // 1_000_000
    seen = (state.started_at, state.finished_at) if state else (0, 0)
    told = (exit_.started_at, exit_.finished_at) if exit_ else (0, 0)
    started, finished = attempt_times(task.pod_name, told, seen, seen[0], now)
    ran = exit_.ran if exit_ is not None else bool(seen[0])
    stored = result.stored_at if result is not None else 0
    if ran:
        times = replace(begun(times, started), started=started, finished=finished)
    outcome = TaskOutcome(
        key=task.key,
        started_at_millis=started,
        finished_at_millis=finished,
        exit_code=exit_.code if exit_ else state.exit_code if state else None,
        log_uri=log_uri(task.task_root) if kept else "",
        pod_name=task.pod_name,
        times=replace(times, stored=stored),
    )
    if failure is None:
        assert result is not None
        try:
            outputs = outputs_of(task, result)
        except OutputError as error:
            return replace(outcome, failure=FailureKind.USER, error=str(error)[:_MAX_ERROR])
        return replace(outcome, parameters=outputs.parameters, artifacts=outputs.artifacts)
    kind, text, wants_log = failure
    lines = last_lines(log) if wants_log else ""
    text += f"; its last lines:\n{lines}" if lines else ""
    cause = FailureCause.OUT_OF_MEMORY if failure == _OUT_OF_MEMORY else None
    return replace(outcome, failure=kind, error=text[:_MAX_ERROR], cause=cause)


def _failure(
    task: TaskLaunch, result: AttemptResult | None, state: ContainerState | None, *, overdue: bool
) -> tuple[FailureKind, str, bool] | None:
    """Kind, text, and whether the last lines of the log belong to it."""
    exit_: ProcessExit | None = result.exit if result is not None else None
    reported = result.failure if result is not None else None
    if exit_ is not None and exit_.code == 0:
        return (FailureKind(reported[0]), reported[1], False) if reported else None
    if overdue:
        return FailureKind.USER, f"the deadline of {task.deadline_seconds:g} seconds was exceeded", True
    if state is not None and state.out_of_memory:
        return _OUT_OF_MEMORY
    if exit_ is not None and exit_.errno:
        return FailureKind.CONFIGURATION, describe_failed_start(exit_, task.image), False
    if reported:
        return FailureKind(reported[0]), reported[1], True
    if exit_ is not None:
        # Not every runtime hears of it when the kernel kills a program, but not all of its container.
        limits: Any = kubernetes_resources(task.resources).get("limits") or {}
        memory = exit_.signal == signal.SIGKILL and limits.get("memory")
        why = f", perhaps because it used more memory than its limit of {memory}" if memory else ""
        return FailureKind.USER, f"the command {describe_exit(exit_.code, exit_.signal)}{why}", True
    if state is None:
        text = f"the container {task.pod_name} is gone, and nobody saw how it ended"
        return FailureKind.INFRASTRUCTURE, text, True
    text = f"the container {describe_exit(state.exit_code, 0)} from outside, before its program could tell how it ended"
    return FailureKind.INFRASTRUCTURE, text, True
