"""How long an interrupted transfer is resumed.

Invariant: the time is counted from the last progress, so a slow transfer is never given up.
"""

from __future__ import annotations

import random
import time

from penstock_store.base import ArtifactStoreError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class RetryBudget:
    """For one transfer, which fails after `seconds` without progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.progress()

    def progress(self) -> None:
        self._until = time.monotonic() + self._seconds
        self._pause = _FIRST_PAUSE

    def pause_after(self, error: ArtifactStoreError) -> float:
        """Seconds to wait before resuming. Raises the error if it is not transient or the time is used up."""
        if not error.transient or time.monotonic() >= self._until:
            raise error
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        # Full jitter: transfers that were cut off together resume at different times.
        return random.uniform(0, self._pause)  # noqa: S311 - a delay
