"""Until when this executor is certain to hold a run: what fences its effects off.

Why: the server fences reports, but a Pod that is created or ended is no report. An executor that was stopped for longer
than its lease (SIGSTOP, a frozen machine, a network that was away) wakes up believing what it believed; whoever took
its runs over meanwhile has gone on.

Invariants: a lease is certain from the moment the request for it was SENT, never from the answer, so it ends here
before it ends in the database; a margin covers clocks that do not run equally fast and the way from the question to the
effect. The clock counts while the machine sleeps. A heartbeat renews what `renewal` named for it and nothing else: the
row of every other run is left as it is, so what comes back proves that the run is ours, not for how long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_MARGIN = 0.05
_RENEWED_AFTER = 1 / 3
"""So much of what is certain of a lease has gone when it is renewed: what is left is enough for another server."""
_RENEWED_ALONG = _RENEWED_AFTER / 2
"""And so much when another is renewed anyway: leases that are renewed together cost one transaction."""


def elapsed_seconds() -> float:
    """Monotonic, and runs on while the machine sleeps where the system has such a clock."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat renews; `sent`: when, in seconds on the clock of `Leases`."""

    run_ids: frozenset[str]
    sent: float


class Leases:
    """Times in seconds on the clock `now`. A run that is not known is not held."""

    def __init__(self, now: Callable[[], float] = elapsed_seconds) -> None:
        self.now = now
        self._until: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._changed: asyncio.Event | None = None

    def granted(self, run_ids: Iterable[str], sent: float, seconds: float) -> None:
        """The server gave or renewed leases of that length in answer to a request sent at `sent`."""
        until = sent + seconds * (1 - _MARGIN)
        for run_id in run_ids:
            self._until[run_id] = until
            self._since[run_id] = sent
        self._tell()

    def renewal(self) -> Renewal:
        """What the heartbeat that is sent now is to renew: nothing while all leases are young."""
        now = self.now()
        gone = {run_id: (now - since) / (self._until[run_id] - since) for run_id, since in self._since.items()}
        due = any(part >= _RENEWED_AFTER for part in gone.values())
        return Renewal(frozenset(run_id for run_id, part in gone.items() if due and part >= _RENEWED_ALONG), now)

    def renewed(self, renewal: Renewal, held: Iterable[str], seconds: float) -> None:
        """The server answered that heartbeat: `held` are still ours, under the fence that was sent."""
        self.granted([run_id for run_id in held if run_id in renewal.run_ids], renewal.sent, seconds)

    def ended(self, run_id: str) -> None:
        self._until.pop(run_id, None)
        self._since.pop(run_id, None)
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
