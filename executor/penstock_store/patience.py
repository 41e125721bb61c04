"""How long what breaks off is taken up again.

Invariant: patience begins anew with every progress, so a transfer that goes on slowly goes on.
"""

from __future__ import annotations

import random
import time

from penstock_store.base import ArtifactStoreError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Patience:
    """Of one transfer, which may make no progress for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.progress()

    def progress(self) -> None:
        self._until = time.monotonic() + self._seconds
        self._pause = _FIRST_PAUSE

    def pause_after(self, error: ArtifactStoreError) -> float:
        """Seconds to wait before going on. Raises the error when that is pointless, or has lasted long enough."""
        if not error.transient or time.monotonic() >= self._until:
            raise error
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        # Whoever was cut off together comes back apart.
        return random.uniform(0, self._pause)  # noqa: S311 - a delay
