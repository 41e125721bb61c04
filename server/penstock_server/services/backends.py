"""Where the executors that ask here for work run their tasks: what a plan says it cannot do.

Invariants: in memory alone, since every executor asks again within half a minute; one that does not any more is
forgotten.
"""

from __future__ import annotations

import threading
import time

_SECONDS = 90.0


class Backends:
    def __init__(self) -> None:
        self._heard: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def heard(self, executor_id: str, backend: str) -> None:
        """`backend` empty: an executor of a release that does not say."""
        with self._lock:
            now = time.monotonic()
            self._heard = {name: one for name, one in self._heard.items() if now - one[1] < _SECONDS}
            self._heard[executor_id] = (backend, now)

    def known(self) -> set[str]:
        """What executors that asked lately said; empty when none did, or one did not say."""
        with self._lock:
            now = time.monotonic()
            found = {backend for backend, at in self._heard.values() if now - at < _SECONDS}
        return set() if "" in found else found
