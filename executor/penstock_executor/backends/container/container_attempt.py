"""What the backend knows of one attempt: its task, its directory, and its phase (`attempt_life`)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from penstock_ir.event_log import FailureKind

from penstock_executor.attempts import NO_TIMES, AttemptKey, AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import AttemptState
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.withdrawable import Withdrawable
from penstock_executor.engine.names import log_uri


@dataclass(slots=True, eq=False)
class ContainerAttempt:
    task: TaskLaunch
    directory: AttemptDirectory
    state: AttemptState = field(default_factory=AttemptState)
    preparation: Withdrawable = field(default_factory=Withdrawable)
    holds_slot: bool = False
    started_at: int = 0
    """In milliseconds since the epoch, 0 until it has started."""
    times: AttemptTimes = NO_TIMES
    """Of what came before its start, as far as it was prepared here."""
    exit_heard: bool = False
    """An event said that its container has ended, perhaps before the call that started it was answered."""
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    @property
    def name(self) -> str:
        """The container's."""
        return self.task.pod_name

    def failed(self, kind: FailureKind, text: str) -> TaskOutcome:
        """The outcome of an attempt that ends now, without a result of its program."""
        now = time.time_ns() // 1_000_000
        return TaskOutcome(
            key=self.key,
            started_at_millis=self.started_at or now,
            finished_at_millis=now,
            failure=kind,
            error=text[:4096],
            log_uri=log_uri(self.task.task_root) if self.started_at else "",
            pod_name=self.name,
            times=replace(self.times, started=self.started_at),
        )
