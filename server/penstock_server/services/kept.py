"""Answers that are kept for seconds, looked up at every call.

Why not cachetools: its lookups are several Python functions, which a call that has just got its thread finds in no
cache of the processor: 7 µs each where the whole call takes 1,500, and a call needs up to five.

Invariants: an answer is given for `seconds` at most after it was put, whatever the clock of the day does; of more than
`size` those that end first go.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Kept(Generic[_K, _V]):
    """For many threads. `clock` counts seconds."""

    def __init__(self, size: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        # Each with its end, in the order of the ends.
        self._answers: OrderedDict[_K, tuple[float, _V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """None when there is none any more."""
        # Without the lock: one look into a dict is one step for other threads.
        found = self._answers.get(key)
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, key: _K, answer: _V) -> None:
        with self._lock:
            self._answers[key] = (self._clock() + self._seconds, answer)
            self._answers.move_to_end(key)
            if len(self._answers) > self._size:
                self._answers.popitem(last=False)

    def forget(self, key: _K) -> None:
        with self._lock:
            self._answers.pop(key, None)
