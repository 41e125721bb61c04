"""Adapters of the process: the clock, the signal that wakes waiting claims, the signal that stops the program."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable


class SystemClock:
    def now_millis(self) -> int:
        return time.time_ns() // 1_000_000


class ConditionSignal:
    """Wakes the claims that wait in this process, and by `tell` those in its server's other processes.

    Runs created by other servers are found when a claim polls.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._condition = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        self.heard()
        self._tell()

    def heard(self) -> None:
        """As `notify`, of what another process told."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        with self._condition:
            seen = self._count
            return self._condition.wait_for(lambda: self._count != seen, timeout_seconds)


class StopSignal:
    """Waits for SIGTERM or SIGINT, or the end of `supervisor`; to be created and waited for on the main thread.

    Why not an Event set by a handler: the system may deliver a signal to any thread, such as a library's. Python's
    handlers run on the main thread, and a signal to another thread does not wake it while it waits for a lock.
    """

    def __init__(self, supervisor: socket.socket | None = None) -> None:
        """`supervisor` is a connection that nothing comes over: it ends with the process at its other end."""
        self._supervisor = supervisor
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        # The C handler writes to it, on any thread.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def wait(self) -> None:
        """Returns immediately if a signal came since this object was created."""
        with selectors.DefaultSelector() as selector:
            for one in (self._reader, self._supervisor):
                if one is not None:
                    selector.register(one, selectors.EVENT_READ)
            selector.select()
