"""The outside as use cases see it: the clock, the bell that wakes executors, the wish that the program ends."""

from __future__ import annotations

import signal
import socket
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


class StopSignal:
    """SIGTERM or SIGINT, to be made and waited for on the main thread.

    Why not an Event that a handler sets: the system may give a signal to any thread, such as one of a library; Python's
    handlers run on the main thread, and one that waits for a lock is not woken by what another thread was given.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        # Written to by the C handler, on whichever thread it runs.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def wait(self) -> None:
        """Returns at once when there was one since this was made."""
        self._reader.recv(1)
