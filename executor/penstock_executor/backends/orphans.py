"""Finds Pods and containers that nobody waits for any more, and hands them to whoever removes them.

There are two kinds of orphans. One belongs to a run that has ended or was deleted: its executor died before it removed
it. The other belongs to an attempt that is over, of a run that is held here: it was left by such an executor, or was
created by one whose lease had ended.

Invariants: the server is asked about runs that are not held here, and nothing is removed while it does not answer. An
orphan is removed only when two looks in a row have found it.
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


class Leftover(Protocol):
    """A Pod or container. `key` is None when it is not ours; `uid` tells two of the same name apart."""

    @property
    def key(self) -> AttemptKey | None: ...

    @property
    def uid(self) -> str: ...

    @property
    def name(self) -> str: ...


_Leftover = TypeVar("_Leftover", bound=Leftover)


class OrphanCollector(Generic[_Leftover]):
    """`list_all()` gives all of the installation that are not being deleted already; `busy` says of one whether the
    backend still works with it; `remove` is called with an orphan. A look every `every_seconds`, more or less."""

    def __init__(
        self,
        runs: HeldRuns,
        list_all: Callable[[], Awaitable[Iterable[_Leftover]]],
        busy: Callable[[_Leftover], bool],
        remove: Callable[[_Leftover], None],
        every_seconds: float,
    ) -> None:
        self._runs = runs
        self._list_all = list_all
        self._busy = busy
        self._remove = remove
        self._every = every_seconds
        self._suspects: set[str] = set()

    async def work(self) -> None:
        """Looks again and again until cancelled."""
        # No retry of a failed call: it sweeps at its interval whether the last sweep failed or not.
        while True:
            # Several executors do not all ask at the same time.
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311 - a delay
            try:
                await self.sweep()
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("orphans are looked for again later: %s", error)

    async def sweep(self) -> None:
        """One look. Raises ServerUnavailableError, ServerRejectedError."""
        candidates = [one for one in await self._list_all() if one.key is not None and not self._busy(one)]
        foreign: dict[str, list[_Leftover]] = {}
        orphans: list[_Leftover] = []
        for view in candidates:
            assert view.key is not None
            expected = self._runs.expects(view.key)
            if expected is None:
                foreign.setdefault(view.key.run_id, []).append(view)
            elif not expected and self._runs.may_act(view.key.run_id):
                # While the lease is not certain, another executor may hold the run and have begun the attempt.
                orphans.append(view)
        names = list(foreign)
        for start in range(0, len(names), _RUNS_PER_QUESTION):
            for run_id in await self._runs.over(names[start : start + _RUNS_PER_QUESTION]):
                orphans.extend(foreign.get(run_id, ()))
        suspects = {view.uid for view in orphans}
        for view in orphans:
            if view.uid in self._suspects:
                log.info("%s is an orphan of run %s", view.name, view.key and view.key.run_id)
                self._remove(view)
        self._suspects = suspects
