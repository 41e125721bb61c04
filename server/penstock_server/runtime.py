"""The outside as use cases see it: the clock, and the bell that wakes executors."""

from __future__ import annotations

import threading
import time


class SystemClock:
    def now_millis(self) -> int:
        return time.time_ns() // 1_000_000


class ConditionSignal:
    """Within one process; other servers' runs are found by the re-check of a waiting claim."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        with self._condition:
            seen = self._count
            return self._condition.wait_for(lambda: self._count != seen, timeout_seconds)
