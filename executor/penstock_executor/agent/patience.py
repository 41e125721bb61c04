"""How long a warm worker's agent waits when nothing happens.

Invariant: nothing that runs is ended by it; a result that was not forgotten is waited for, unless the Pod ends.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Situation:
    """`busy`: an attempt runs, or the worker is made ready or ended. `over`: nothing begins any more. `leaving`: the
    Pod ends. `attended`: somebody is connected. `kept`: there are results that were not forgotten.
    """

    busy: bool
    over: bool
    leaving: bool
    attended: bool
    kept: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: without anybody connected; with results that were not forgotten; with such when the Pod ends."""

    unattended: float = 60.0
    kept: float = 3600.0
    linger: float = 10.0

    def seconds(self, now: Situation) -> float | None:
        """How long a situation may last; None: as long as it likes."""
        if now.busy:
            return None
        if now.over:
            if not now.kept:
                return 0.0
            return min(self.linger, self.kept) if now.leaving else self.kept
        if now.attended:
            return None
        return self.kept if now.kept else self.unattended
