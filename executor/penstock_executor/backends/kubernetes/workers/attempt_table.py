"""The attempts that are workers' now or later, and the places that they take among the installation's Pods.

Invariants: an attempt has one place from its launch to its end, in whichever Pod it runs. What is known of a key is the
newest launch's: one that was launched anew since is not in the table any more, whoever still holds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.kubernetes.capacity import Capacity
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt


class AttemptTable:
    def __init__(self, capacity: Capacity, waits: WaitReporter) -> None:
        self._capacity = capacity
        self._waits = waits
        self._attempts: dict[AttemptKey, WorkerAttempt] = {}

    def __iter__(self) -> Iterator[WorkerAttempt]:
        """As they are now: what is done with one may change the table."""
        return iter(list(self._attempts.values()))

    def get(self, key: AttemptKey) -> WorkerAttempt | None:
        return self._attempts.get(key)

    def has(self, attempt: WorkerAttempt) -> bool:
        """Whether this very launch is what is known of its key."""
        return self._attempts.get(attempt.key) is attempt

    def begin(self, task: TaskLaunch, namespace: str, fence: int) -> WorkerAttempt:
        """A launch, of a run that is held under `fence`."""
        attempt = WorkerAttempt(task, namespace, fence)
        self.put(attempt)
        return attempt

    def put(self, attempt: WorkerAttempt) -> None:
        self._attempts[attempt.key] = attempt
        self._capacity.take(attempt.key, attempt.namespace)

    def end(self, attempt: WorkerAttempt) -> None:
        """It takes no place any more, and is known until its outcome is committed."""
        self._waits.forget(attempt.key)
        attempt.cancel_timers()
        self._capacity.free(attempt.key)

    def drop(self, attempt: WorkerAttempt) -> None:
        attempt.cancel_timers()
        if self.has(attempt):
            self._waits.forget(attempt.key)
            self._capacity.free(attempt.key)
            del self._attempts[attempt.key]

    def remove_ended(self, attempt: WorkerAttempt) -> None:
        """Nobody here waits for its end, so nobody will have its outcome committed."""
        self._attempts.pop(attempt.key, None)

    def hand_over(self, attempt: WorkerAttempt) -> None:
        """It is to have a Pod of its own, which takes its place."""
        del self._attempts[attempt.key]
        self._capacity.hand_over(attempt.key)

    def handed_over(self, attempt: WorkerAttempt) -> None:
        """Its Pod takes the place, if there is one: whoever sees it says so."""
        self._capacity.cancel(attempt.key)
