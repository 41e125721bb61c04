"""What the backend knows of one attempt: its task, its Pod as last seen, and its phase (`attempt_life`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from penstock_ir.event_log import FailureCause, FailureKind
from penstock_store.session_keys import SessionKeys

from penstock_executor.attempts import NO_TIMES, AttemptKey, AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import AttemptState
from penstock_executor.backends.kubernetes.pod_times import pod_times
from penstock_executor.backends.kubernetes.verdict import Failure
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.observed_times import believable
from penstock_executor.engine.names import log_uri


@dataclass(slots=True, eq=False)
class PodAttempt:
    task: TaskLaunch
    namespace: str
    placement: str = ""
    """In what it runs, in words, when somebody might have expected something else."""
    state: AttemptState = field(default_factory=AttemptState)
    view: PodView | None = None
    given_up: Failure | None = None
    """Why it was given up, for `StopReason.GIVEN_UP`."""
    ungated_at: int = 0
    """When its last scheduling gate was seen to go, in milliseconds since the epoch."""
    draining: bool = False
    """Its program has ended, and its Pod was deleted so that the agent beside it gets its SIGTERM and uploads."""
    deleting: bool = False
    """Its Pod's deletion was begun before its end, so nothing is left for the retention."""
    log_stored: bool = False
    succeeded: bool = False
    timer: asyncio.TimerHandle | None = None
    keys: Mapping[str, SessionKeys] | None = field(default=None, repr=False)
    """Temporary credentials that were issued for its Pod and are not stored yet; empty when it needs none, None when
    nobody has asked."""
    keeping: asyncio.Task[None] | None = None
    """Stores and renews them (`sessions`)."""

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    def is_its_pod(self, view: PodView) -> bool:
        """Whether a Pod with the attempt's labels is the one that was made for it: in its namespace, with its name.

        Whoever may make Pods in another namespace that is watched may give one the labels and annotations of any run.
        """
        return (view.namespace, view.name) == (self.namespace, self.task.pod_name)

    def set_timer(self, at_millis: int, act: Callable[[], None]) -> None:
        """Calls `act` at that time, in place of what was to be called before."""
        self.cancel_timer()
        left = max(0.0, at_millis / 1000 - time.time())
        self.timer = asyncio.get_running_loop().call_later(left, act)

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def started_at(self, view: PodView) -> int:
        """When its container started, by the kubelet; now, when that cannot be. In milliseconds since the epoch."""
        now = time.time_ns() // 1_000_000
        return believable(f"{view.name}: its container's start", view.started_at, view.created_at, now, instead=now)

    def times(self) -> AttemptTimes:
        """How far it is, as its Pod was last seen."""
        view = self.view
        if view is None:
            return NO_TIMES
        started = self.started_at(view) if view.started_at else 0
        times = pod_times(view, time.time_ns() // 1_000_000, started=started)
        return replace(times, placement=self.placement) if self.placement else times

    def failed(self, kind: FailureKind, text: str, cause: FailureCause | None = None) -> TaskOutcome:
        """The outcome of an attempt that ends now, without a result of its program."""
        now = time.time_ns() // 1_000_000
        started = self.started_at(self.view) if self.view is not None and self.view.started_at else 0
        return TaskOutcome(
            key=self.key,
            started_at_millis=started or now,
            finished_at_millis=now,
            failure=kind,
            error=text[:4096],
            log_uri=log_uri(self.task.task_root) if started else "",
            pod_name=self.task.pod_name,
            times=self.times(),
            cause=cause,
        )
