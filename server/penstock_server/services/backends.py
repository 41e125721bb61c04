"""The backends of the executors that claim runs from this server, for the checks of a plan.

Invariants: kept in memory only, since every executor claims again within half a minute; executors that stop are
forgotten.
"""

from __future__ import annotations

import threading
import time

_SECONDS = 90.0


class Backends:
    def __init__(self) -> None:
        self._recorded: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def record(self, executor_id: str, backend: str) -> None:
        """Called for every claim. `backend` is empty for executors of releases that do not send it."""
        with self._lock:
            now = time.monotonic()
            self._recorded = {name: entry for name, entry in self._recorded.items() if now - entry[1] < _SECONDS}
            self._recorded[executor_id] = (backend, now)

    def names(self) -> set[str]:
        """The backends of recent claims; empty if there were none, or if one executor did not send its backend."""
        with self._lock:
            now = time.monotonic()
            names = {backend for backend, at in self._recorded.values() if now - at < _SECONDS}
        return set() if "" in names else names
