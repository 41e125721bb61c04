"""How much each of many names may take in a time: a token bucket for each.

Why our own: the state is one time for each name, and what takes more than is left is let pass and owed, so that nobody
has to know sizes before; libraries refuse what is larger than the bucket (docs/decisions/budgets.md). Invariants: over
a long time no name gets more than `rate`, but for the bucket and one taking; what is refused costs the name nothing;
names are bounded in number, and the one that was heard of longest ago is forgotten first, as if its bucket were full.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

NAMES = 10_000
# Sums of floating point numbers are off by less.
_ROUNDING = 1e-6


class Budgets:
    """Thread-safe. `rate` in units a second; a bucket that is full has `size` of them. `timer` returns seconds."""

    def __init__(
        self, rate: float, size: float, *, names: int = NAMES, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._unit_seconds = 1 / rate
        self._full_seconds = (size - 1) / rate
        self._timer = timer
        self._lock = threading.Lock()
        self._names = names
        # When the bucket of a name is full again; the name that was heard of last is the last.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str, units: float = 1) -> float:
        """Takes `units` while one at least is left. Returns 0, or in how many seconds one will be."""
        now = self._timer()
        with self._lock:
            full_at = max(self._full_at.pop(name, now), now)
            wait = full_at - now - self._full_seconds
            refused = wait > _ROUNDING
            # Taken out and put back: the last one now.
            self._full_at[name] = full_at if refused else full_at + units * self._unit_seconds
            if len(self._full_at) > self._names:
                self._full_at.popitem(last=False)
        return wait if refused else 0.0
