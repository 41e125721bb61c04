"""Finds Pods that nobody waits for any more, and hands them to `retention`.

Two kinds: Pods of runs that have ended or were deleted, left by an executor that died before it removed them, and Pods
of a run held here whose attempt is over, left by such a one or made by one whose lease had ended. Invariants: the
server is asked about runs that are not held here; a Pod is touched only when it looked like an orphan twice in a row,
and never while its run's fate is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from penstock_executor.backends.base import HeldRuns
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_RUNS_PER_QUESTION = 500


class OrphanCollector:
    """`pods()` gives all Pods of the installation, `busy` says which are being seen to, `remove` takes an orphan."""

    def __init__(
        self,
        runs: HeldRuns,
        pods: Callable[[], Iterable[PodView]],
        busy: Callable[[PodView], bool],
        remove: Callable[[PodView], None],
        every_seconds: float,
    ) -> None:
        self._runs = runs
        self._pods = pods
        self._busy = busy
        self._remove = remove
        self._every = every_seconds
        self._suspects: set[str] = set()

    async def work(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            # Several executors do not all ask at the same time.
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))
            try:
                await self.sweep()
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("orphans are looked for again later: %s", error)

    async def sweep(self) -> None:
        """One look. Raises ServerUnavailableError, ServerRejectedError."""
        candidates = [one for one in self._pods() if one.key is not None and not one.deleted_at and not self._busy(one)]
        foreign: dict[str, list[PodView]] = {}
        found: list[PodView] = []
        for view in candidates:
            assert view.key is not None
            expected = self._runs.expects(view.key)
            if expected is None:
                foreign.setdefault(view.key.run_id, []).append(view)
            elif not expected and self._runs.may_act(view.key.run_id):
                # While the lease is not certain, the attempt may be one that another holder has begun.
                found.append(view)
        names = list(foreign)
        for start in range(0, len(names), _RUNS_PER_QUESTION):
            for run_id in await self._runs.over(names[start : start + _RUNS_PER_QUESTION]):
                found.extend(foreign.get(run_id, ()))
        suspects = {view.uid for view in found}
        for view in found:
            if view.uid in self._suspects:
                log.info("Pod %s/%s is an orphan of run %s", view.namespace, view.name, view.key and view.key.run_id)
                self._remove(view)
        self._suspects = suspects
