"""Attempts that were workers' to take, and get Pods of their own after all.

Invariant: an attempt that is handed over is known to whoever makes Pods, and nowhere twice; until one is made, it is
tried again for as long as it is wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError, NoCapacityError
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.waiting import Wait
from penstock_executor.backends.kubernetes.workers.attempt_table import AttemptTable
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_executor.background import Background

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5


class OwnPods:
    """`launch(task, placement)` makes a Pod, and raises as `Backend.launch` does; `unwanted(attempt)` says whether
    nobody wants it begun any more, after which it is over."""

    def __init__(
        self,
        table: AttemptTable,
        waits: WaitReporter,
        runs: Callable[[], HeldRuns],
        unwanted: Callable[[WorkerAttempt], bool],
        launch: Callable[[TaskLaunch, str], Awaitable[None]],
    ) -> None:
        self._table = table
        self._waits = waits
        self._runs = runs
        self._unwanted = unwanted
        self._launch = launch
        self._background = Background("attempts that get Pods of their own")

    def close(self) -> None:
        self._background.cancel()

    def give(self, attempt: WorkerAttempt, reason: str) -> None:
        self._background.begin(self._given(attempt, own_pod_because(reason)))

    async def _given(self, attempt: WorkerAttempt, placement: str) -> None:
        while self._table.has(attempt) and not self._unwanted(attempt):
            self._table.hand_over(attempt)
            try:
                await self._launch(attempt.task, placement)
            except NoCapacityError as error:
                self._waits.update(attempt.key, Wait(str(error)))
            except LeaseUncertainError:
                log.debug("task %s waits for its lease", attempt.key.path)
            else:
                self._table.handed_over(attempt)
                return
            if self._table.get(attempt.key) is not None or self._runs().expects(attempt.key) is not True:
                # Its run was lost meanwhile, and another launch may have come, and its end.
                self._waits.forget(attempt.key)
                self._table.handed_over(attempt)
                return
            self._table.put(attempt)
            await asyncio.sleep(_AGAIN_SECONDS)


def own_pod_because(reason: str) -> str:
    """Where an attempt runs, in words, empty when there is nothing to say."""
    return f"a Pod of its own: {reason}"[:200] if reason else ""
