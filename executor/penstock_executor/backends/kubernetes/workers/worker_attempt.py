"""What the backend knows of an attempt that a worker takes, or is to take: its task, its worker, its phase
(`attempt_life`)."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from penstock_ir.event_log import FailureCause, FailureKind

from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.attempts import AttemptKey, AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import AttemptState
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_executor.engine.names import attempt_id, log_uri


@dataclass(slots=True, eq=False)
class WorkerAttempt:
    task: TaskLaunch
    namespace: str
    fence: int = 0
    """Of its run, when it was launched: held under another one, the run may have been another executor's meanwhile."""
    state: AttemptState = field(default_factory=AttemptState)
    worker: Worker | None = None
    """Which has begun it, or was told to and has not answered yet."""
    being_given: bool = False
    """Its request is about to be written, or is not answered yet by the stream on which it was."""
    refusals: int = 0
    """How often a worker has not begun it that was told to."""
    number: int = 0
    """It is the worker's so many-th; 0 until the worker has begun it."""
    began_at: int = 0
    """When the worker said so, in milliseconds since the epoch."""
    had_ended: bool = False
    """Its program had, before this executor knew of it: how the worker ends says nothing of it."""
    result: AttemptResult | None = None
    log_mark: str = field(default_factory=lambda: secrets.token_hex(16))
    """By which its lines are found in the worker's log. No attempt knows it."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    @property
    def identity(self) -> str:
        """How a worker knows it."""
        return attempt_id(self.key.run_id, self.key.path, self.key.attempt)

    @property
    def placement(self) -> str:
        """Where it runs, in words."""
        if self.worker is None or not self.number:
            return ""
        return f"worker {self.worker.view.name}, its {ordinal(self.number)} task"

    def after(self, seconds: float, act: object) -> None:
        """Calls `act` then, unless it has ended by then."""
        assert callable(act)
        self.timers.append(asyncio.get_running_loop().call_later(max(0.0, seconds), act))

    def cancel_timers(self) -> None:
        while self.timers:
            self.timers.pop().cancel()

    def times(self) -> AttemptTimes:
        worker = self.worker
        if worker is None or not self.number:
            return AttemptTimes()
        return AttemptTimes(
            placed=self.began_at,
            scheduled=self.began_at,
            prepared=self.began_at,
            started=self.began_at,
            node=worker.view.node,
            placement=self.placement,
            log_mark=self.log_mark,
        )

    def failed(self, kind: FailureKind, text: str, cause: FailureCause | None = None) -> TaskOutcome:
        """The outcome of an attempt that ends now, without a result of its program."""
        now = time.time_ns() // 1_000_000
        return TaskOutcome(
            key=self.key,
            started_at_millis=self.began_at or now,
            finished_at_millis=now,
            failure=kind,
            error=text[:4096],
            log_uri=log_uri(self.task.task_root) if self.number else "",
            pod_name=self.worker.view.name if self.worker is not None else "",
            times=self.times(),
            cause=cause,
        )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, …"""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
