"""Whether the server can do its work, for whoever asks how often.

Invariants: it is looked at once a second at most and once at a time, whoever asks; who asks gets an answer within
seconds, also when the look hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0


class Readiness:
    """`look` gives the problems and may block; what it raises is raised to who asks."""

    def __init__(self, look: Callable[[], list[str]], patience: float = _PATIENCE_SECONDS) -> None:
        self._look = look
        self._patience = patience
        self._lock = threading.Lock()
        self._found: Future[list[str]] | None = None
        self._stale_at = 0.0

    def problems(self) -> list[str]:
        """What is wrong, empty when nothing is."""
        with self._lock:
            found = self._found
            if found is None or (found.done() and time.monotonic() >= self._stale_at):
                found = self._found = Future()
                threading.Thread(target=self._run, args=(found,), name="readiness", daemon=True).start()
        try:
            return found.result(self._patience)
        except FutureTimeoutError:
            return [f"the database did not answer within {self._patience:g} seconds"]

    def _run(self, found: Future[list[str]]) -> None:
        try:
            problems = self._look()
        except Exception as error:  # noqa: BLE001 - who asks is told
            self._stale_at = time.monotonic()
            found.set_exception(error)
        else:
            self._stale_at = time.monotonic() + _FRESH_SECONDS
            found.set_result(problems)
