"""Finds Pods and containers that nobody waits for any more, and hands them to whoever removes them.

Two kinds: those of runs that have ended or were deleted, left by an executor that died before it removed them, and
those of a run held here whose attempt is over, left by such a one or made by one whose lease had ended. Invariants: the
server is asked about runs that are not held here; one is touched only when it looked like an orphan twice in a row,
and never while its run's fate is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, Protocol, TypeVar

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.base import HeldRuns
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_RUNS_PER_QUESTION = 500


class Left(Protocol):
    """What an attempt left where it ran; `key` is None of what is none of ours, `uid` tells two of one name apart."""

    @property
    def key(self) -> AttemptKey | None: ...

    @property
    def uid(self) -> str: ...

    @property
    def name(self) -> str: ...


_Left = TypeVar("_Left", bound=Left)


class OrphanCollector(Generic[_Left]):
    """`everything()` gives all of the installation that is not going already, `busy` says which are being seen to,
    `remove` takes an orphan."""

    def __init__(
        self,
        runs: HeldRuns,
        everything: Callable[[], Awaitable[Iterable[_Left]]],
        busy: Callable[[_Left], bool],
        remove: Callable[[_Left], None],
        every_seconds: float,
    ) -> None:
        self._runs = runs
        self._everything = everything
        self._busy = busy
        self._remove = remove
        self._every = every_seconds
        self._suspects: set[str] = set()

    async def work(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            # Several executors do not all ask at the same time.
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311 - a delay
            try:
                await self.sweep()
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("orphans are looked for again later: %s", error)

    async def sweep(self) -> None:
        """One look. Raises ServerUnavailableError, ServerRejectedError."""
        candidates = [one for one in await self._everything() if one.key is not None and not self._busy(one)]
        foreign: dict[str, list[_Left]] = {}
        found: list[_Left] = []
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
                log.info("%s is an orphan of run %s", view.name, view.key and view.key.run_id)
                self._remove(view)
        self._suspects = suspects
