"""How an attempt ended in a worker: by what its agent told, and by how the cluster says that the worker itself ended.

Invariants: what the cluster tells of a worker's end later than the agent is waited for where it may be what ended the
attempt, for a bounded time. What cannot be understood ends one attempt, not the executor.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from penstock_ir.event_log import FailureKind

from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.kubernetes.verdict import disruption
from penstock_executor.backends.kubernetes.workers.results import outcome_of
from penstock_executor.backends.kubernetes.workers.worker import Worker, seconds_now
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt

log = logging.getLogger(__name__)

_FROM_OUTSIDE = (9, 15)
"""Signals that a container's end begins with."""
_STATUS_PAUSE_SECONDS = 0.05
_STATUS_SECONDS = 10.0
"""For so long the cluster is waited for, to say how a worker ended under its attempt."""


async def concluded(attempt: WorkerAttempt) -> TaskOutcome:
    """Of an attempt whose end its worker has told, or that ended with its worker."""
    worker = attempt.worker
    assert worker is not None
    try:
        if attempt.state.stop is None and _may_be_the_workers_end(attempt, worker):
            await _status_of(worker)
        outcome = outcome_of(attempt, worker.view)
        if worker.alone_since and attempt.result is None and outcome.failure is FailureKind.INFRASTRUCTURE:
            # Not by somebody else: who follows it deleted the Pod.
            outcome = replace(outcome, error=f"the agent of the worker {worker.view.name} has ended")
    except Exception as error:
        # A defect of ours, or a status nobody has seen yet: one attempt's end, not the executor's.
        log.exception("worker %s: the end of an attempt cannot be understood", worker.view.name)
        text = f"the end of the attempt was not understood: {error}"
        outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
    return outcome


def lost(attempt: WorkerAttempt) -> TaskOutcome:
    """Of an attempt whose worker is gone, and of which nobody saw how it ended."""
    worker = attempt.worker
    assert worker is not None
    failure = disruption(worker.view)
    if failure is not None:
        return attempt.failed(failure.kind, failure.text, failure.cause)
    text = f"the worker {worker.view.name} was gone while the task ran in it"
    return attempt.failed(FailureKind.INFRASTRUCTURE, text)


def _may_be_the_workers_end(attempt: WorkerAttempt, worker: Worker) -> bool:
    """Whether the attempt's failure may be that of its worker, of which the cluster tells later than the agent."""
    exit_ = attempt.result.exit if attempt.result is not None else None
    if exit_ is None:
        return True
    ended_by_signal = exit_.signal in _FROM_OUTSIDE or exit_.code in (128 + one for one in _FROM_OUTSIDE)
    return exit_.code != 0 and (ended_by_signal or (bool(worker.over) and not worker.retiring))


async def _status_of(worker: Worker) -> None:
    """Waits until the cluster says how the worker's container ended, or why it is to end, if it is."""
    until = seconds_now() + _STATUS_SECONDS
    while seconds_now() < until and not (worker.gone or worker.view.deleted_at or worker.ready):
        main = worker.view.container("main")
        if main is not None and main.terminated is not None:
            return
        await asyncio.sleep(_STATUS_PAUSE_SECONDS)
