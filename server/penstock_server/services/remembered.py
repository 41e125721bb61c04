"""Rows that every call needs, remembered for seconds.

Invariants: what is not there is remembered as well, so that guessing costs one look an id; the memory is bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from penstock_server.services.kept import Kept

SECONDS = 5.0
_SIZE = 10_000
_T = TypeVar("_T")


class Remembered(Generic[_T]):
    """`read` returns the row of a key, None when there is none; it may block. `clock` counts seconds."""

    def __init__(self, read: Callable[[str], _T | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._rows: Kept[str, tuple[_T | None]] = Kept(_SIZE, SECONDS, clock)
        self._forgotten = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> _T | None:
        """The row, as it was at most `SECONDS` ago."""
        known = self._rows.get(key)
        if known is not None:
            return known[0]
        with self._lock:
            forgotten = self._forgotten
        row = self._read(key)
        with self._lock:
            # What was read before a row was forgotten may be the row as it was before.
            if forgotten == self._forgotten:
                self._rows.put(key, (row,))
        return row

    def forget(self, key: str) -> None:
        """The next `get` reads the row again."""
        with self._lock:
            self._forgotten += 1
            self._rows.forget(key)
