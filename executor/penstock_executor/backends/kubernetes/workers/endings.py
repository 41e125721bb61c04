"""How an attempt ended in a worker: by what its agent told, and by how the cluster says that the worker itself ended.

Invariants: what the cluster tells of a worker's end later than the agent is waited for where it may be what ended the
attempt, for a bounded time. A deletion comes before the signals that end a Pod, so whether there was one the API server
is asked, since a watch may be behind by any time. Who gets no answer does not blame the program. What cannot be
understood ends one attempt, not the executor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError

from penstock_executor.attempts import TaskOutcome
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.verdict import disruption
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backends.kubernetes.workers.results import outcome_of
from penstock_executor.backends.kubernetes.workers.worker import Worker, seconds_now
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt

log = logging.getLogger(__name__)

_FROM_OUTSIDE = (9, 15)
"""Signals that a container's end begins with."""
_STATUS_PAUSE_SECONDS = 0.05
_STATUS_SECONDS = 10.0
"""For so long the cluster is waited for, to say how a worker ended under its attempt."""
_ANSWER_SECONDS = 60.0
"""For so long an API server is asked that does not answer."""


async def concluded(attempt: WorkerAttempt, calls: PodCalls) -> TaskOutcome:
    """Of an attempt whose end its worker has told, or that ended with its worker."""
    worker = attempt.worker
    assert worker is not None
    try:
        view = worker.view
        if attempt.state.stop is None and _may_be_the_workers_end(attempt, worker):
            view = await _status_of(worker, calls)
        outcome = outcome_of(attempt, view)
        if worker.alone_since and attempt.result is None and outcome.failure is FailureKind.INFRASTRUCTURE:
            # Not by somebody else: who follows it deleted the Pod.
            outcome = replace(outcome, error=f"the agent of the worker {worker.view.name} has ended")
    except KubeError as error:
        text = f"nobody said whether the worker {worker.view.name} was being deleted when the task ended: {error}"
        outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
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


async def _status_of(worker: Worker, calls: PodCalls) -> PodView:
    """The worker's Pod once the cluster says how its container ended, or why it is to end, if it is.

    Raises KubeError when the API server cannot be asked.
    """
    if not _is_told(worker, worker.view):
        now = await _as_it_is(worker, calls)
        if now is not None and _is_told(worker, now):
            return now
    until = seconds_now() + _STATUS_SECONDS
    while not (_is_told(worker, worker.view) or worker.ready):
        if seconds_now() >= until:
            # The kubelet may have told it long ago, and the watch not yet.
            now = await _as_it_is(worker, calls)
            return _deleted(worker.view) if now is None else now
        await asyncio.sleep(_STATUS_PAUSE_SECONDS)
    return worker.view


def _is_told(worker: Worker, view: PodView) -> bool:
    main = view.container("main")
    return worker.gone or bool(view.deleted_at) or (main is not None and main.terminated is not None)


async def _as_it_is(worker: Worker, calls: PodCalls) -> PodView | None:
    """The worker's Pod as the API server has it; None when it says that there is none, which a proxy may say, too."""
    found = await calls.pod(worker.view.namespace, worker.view.name, _ANSWER_SECONDS)
    view = view_of(found) if found is not None else None
    return view if view is not None and view.uid == worker.view.uid else None


def _deleted(view: PodView) -> PodView:
    """A Pod that went without anybody having seen it go."""
    now = time.time_ns() // 1_000_000
    return view if view.deleted_at else replace(view, deleted_at=now, delete_asked_at=max(1, view.created_at))
