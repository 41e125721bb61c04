"""Hands lines to something that may stall or fail, on a thread of its own.

Why: who reads a program's output must go on reading whatever becomes of the log file and of the terminal. A pipe that
nobody empties fills up, and then the program stands still.

Invariants: `put` neither waits nor raises; memory is bounded; lines that could not be written, or were too many, are
counted, and the next one that can be written is preceded by how many are missing and why.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_WAITING_LINES = 10_000


class LineWriter:
    """`write` gets one line at a time, without its end; it may raise OSError."""

    def __init__(self, write: Callable[[str], None], waiting_lines: int = _WAITING_LINES) -> None:
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(waiting_lines)
        self._missing = 0
        self._reason = ""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Waits for nothing: a line for which there is no room is counted as missing."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._missed("they came faster than they could be written")

    def close(self, timeout: float) -> None:
        """Waits so many seconds for what was put to be written; none may be put any more."""
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
                self._missed(error.strerror or str(error), missing + 1)

    def _missed(self, reason: str, count: int = 1) -> None:
        with self._lock:
            self._missing += count
            self._reason = reason
