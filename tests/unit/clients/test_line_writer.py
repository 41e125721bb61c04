"""LineWriter when its destination blocks or fails: the caller is not affected."""

from __future__ import annotations

import errno
import os
import threading

from penstock.line_writer import LineWriter


def full(_line: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_missing_is_said() -> None:
    written: list[str] = []
    failing, tried = True, threading.Semaphore(0)

    def write(line: str) -> None:
        try:
            if failing:
                full(line)
            written.append(line)
        finally:
            tried.release()

    writer = LineWriter(write)
    for line in ("a", "b", "c"):
        writer.put(line)
        assert tried.acquire(timeout=10)
    failing = False
    writer.put("d")
    writer.put("e")
    writer.close(10)
    assert written == ["… 3 lines are missing here: No space left on device", "d", "e"]


def test_nobody_waits_for_what_stalls() -> None:
    written: list[str] = []
    stalls, goes_on = threading.Event(), threading.Event()

    def write(line: str) -> None:
        stalls.set()
        assert goes_on.wait(30)
        written.append(line)

    writer = LineWriter(write, capacity=2)
    writer.put("first")
    assert stalls.wait(10)
    for number in range(10):
        writer.put(str(number))
    goes_on.set()
    writer.close(10)
    assert written == ["first", "… 8 lines are missing here: they came faster than they could be written", "0", "1"]


def test_closing_waits_no_longer_than_told() -> None:
    goes_on = threading.Event()

    def write(_line: str) -> None:
        goes_on.wait(30)

    writer = LineWriter(write, capacity=1)
    for line in ("taken", "waits", "too many"):
        writer.put(line)
    writer.close(0.05)
    goes_on.set()
