"""Until when this executor is certain to hold a run: what fences its effects off.

Why: the server fences reports, but a Pod that is created or ended is no report. An executor that was stopped for longer
than its lease (SIGSTOP, a frozen machine, a network that was away) wakes up believing what it believed; whoever took
its runs over meanwhile has gone on.

Invariants: a lease is certain from the moment the request for it was SENT, never from the answer, so it ends here
before it ends in the database; a margin covers clocks that do not run equally fast and the way from the question to the
effect. The clock counts while the machine sleeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_MARGIN = 0.05


def elapsed_seconds() -> float:
    """Monotonic, and runs on while the machine sleeps where the system has such a clock."""
    return time.clock_gettime(_CLOCK)


class Leases:
    """Times in seconds on the clock `now`. A run that is not known is not held."""

    def __init__(self, now: Callable[[], float] = elapsed_seconds) -> None:
        self.now = now
        self._until: dict[str, float] = {}
        self._changed: asyncio.Event | None = None

    def granted(self, run_ids: Iterable[str], sent: float, seconds: float) -> None:
        """The server gave or renewed leases of that length in answer to a request sent at `sent`."""
        until = sent + seconds * (1 - _MARGIN)
        for run_id in run_ids:
            self._until[run_id] = until
        self._tell()

    def ended(self, run_id: str) -> None:
        self._until.pop(run_id, None)
        self._tell()

    def certain(self, run_id: str) -> bool:
        """Whether nobody else can hold the run at this moment."""
        return self.left(run_id) > 0

    def left(self, run_id: str) -> float:
        """Seconds for which nobody else can hold the run; 0 when somebody may."""
        return max(0.0, self._until.get(run_id, 0.0) - self.now())

    async def until_certain(self, run_id: str) -> bool:
        """Waits while the lease has lapsed; False when the run is not held any more."""
        while run_id in self._until:
            if self.certain(run_id):
                return True
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()
        return False

    def _tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
