"""What the backend knows of one attempt: its task, its directory, and its phase (`attempt_life`)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace

from penstock_ir.event_log import FailureKind
from penstock_store.files import uri_of

from penstock_executor.attempts import NO_TIMES, AttemptKey, AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import AttemptState
from penstock_executor.backends.local.connection import ForkServerConnection
from penstock_executor.backends.local.directory import AttemptDirectory, Exit, millis
from penstock_executor.backends.local.inputs import TaskFiles
from penstock_executor.backends.withdrawable import Withdrawable


@dataclass(slots=True, eq=False)
class LocalAttempt:
    task: TaskLaunch
    directory: AttemptDirectory
    state: AttemptState = field(default_factory=AttemptState)
    preparation: Withdrawable = field(default_factory=Withdrawable)
    files: TaskFiles | None = None
    """None until they are prepared, or found again."""
    connection: ForkServerConnection | None = None
    """To the fork server that runs it; None when that is gone."""
    holds_slot: bool = False
    started_at: int = 0
    """As it is reported: in milliseconds since the epoch, 0 until it has started."""
    times: AttemptTimes = NO_TIMES
    """Of what came before its start, as far as it was prepared here."""
    exit: Exit | None = None
    """How it ended, once that is known."""
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    @property
    def name(self) -> str:
        """What the fork server knows it by: its directory."""
        return str(self.directory.path)

    def ended(self, exit_: Exit | None, started: int, *, stored: bool) -> AttemptTimes:
        """The times of its whole life; `stored`: what it left was kept just now."""
        if exit_ is None or exit_.error:
            return replace(self.times, started=self.started_at)
        finished = max(started, exit_.at)
        return replace(self.times, started=started, finished=finished, stored=millis() if stored else 0)

    def failed(self, kind: FailureKind, text: str, exit_: Exit | None = None) -> TaskOutcome:
        """The outcome of an attempt that failed; without `exit_` it ends now."""
        finished = exit_.at if exit_ else millis()
        started = self.started_at or self.directory.started_at() or finished
        # `Path.exists` raises what a task can bring about, as by taking its directories' permissions away.
        has_log = self.files is not None and os.path.exists(self.files.log)  # noqa: PTH110
        return TaskOutcome(
            key=self.key,
            started_at_millis=started,
            finished_at_millis=max(started, finished),
            exit_code=exit_.code if exit_ else None,
            failure=kind,
            error=text[:4096],
            log_uri=uri_of(self.files.log) if self.files is not None and has_log else "",
            pod_name=self.task.pod_name,
            times=self.ended(exit_, started, stored=has_log),
        )
