"""Writes lines on a thread of its own, because the destination may block or fail.

Why: the reader of a program's output must go on reading when the log file or the terminal does not: a pipe that is not
read fills up, and then the program blocks.

Invariants: `put` neither blocks nor raises; memory is bounded; lines that could not be written, or were too many, are
counted, and before the next line it is written how many are missing and why.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_DEFAULT_CAPACITY = 10_000


class LineWriter:
    """`write` gets one line at a time, without its newline; it may raise OSError. `capacity`: lines in the queue."""

    def __init__(self, write: Callable[[str], None], capacity: int = _DEFAULT_CAPACITY) -> None:
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(capacity)
        self._missing = 0
        self._reason = ""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Queues a line, or counts it as missing when the queue is full."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._count_missing("they came faster than they could be written")

    def close(self, timeout: float) -> None:
        """Waits up to `timeout` seconds until all lines are written; no line may be put after this."""
        try:
            self._lines.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            with self._lock:
                missing, reason, self._missing = self._missing, self._reason, 0
            try:
                if missing:
                    self._write(f"… {missing} lines are missing here: {reason}")
                    missing = 0
                self._write(line)
            except OSError as error:
                self._count_missing(error.strerror or str(error), missing + 1)

    def _count_missing(self, reason: str, count: int = 1) -> None:
        with self._lock:
            self._missing += count
            self._reason = reason
