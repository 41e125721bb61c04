"""Caches whether the server is ready, so that probes may ask often.

Invariants: the check runs at most once a second and never twice at the same time; callers get an answer within seconds,
even if the check hangs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

_FRESH_SECONDS = 1.0
_TIMEOUT_SECONDS = 3.0


class Readiness:
    """`check` returns the problems and may block; its exceptions are raised to callers of `problems`."""

    def __init__(self, check: Callable[[], list[str]], timeout: float = _TIMEOUT_SECONDS) -> None:
        self._check = check
        self._timeout = timeout
        self._lock = threading.Lock()
        self._result: Future[list[str]] | None = None
        self._stale_at = 0.0

    def problems(self) -> list[str]:
        """Why the server is not ready, empty when it is."""
        with self._lock:
            result = self._result
            if result is None or (result.done() and time.monotonic() >= self._stale_at):
                result = self._result = Future()
                threading.Thread(target=self._run, args=(result,), name="readiness", daemon=True).start()
        try:
            return result.result(self._timeout)
        except FutureTimeoutError:
            return [f"the database did not answer within {self._timeout:g} seconds"]

    def _run(self, result: Future[list[str]]) -> None:
        try:
            problems = self._check()
        except Exception as error:  # noqa: BLE001 - raised to the callers
            self._stale_at = time.monotonic()
            result.set_exception(error)
        else:
            self._stale_at = time.monotonic() + _FRESH_SECONDS
            result.set_result(problems)
