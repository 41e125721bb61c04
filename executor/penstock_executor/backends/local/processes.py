"""Processes of this machine that are no children of ours: who they are, and what they have started (by /proc).

Invariant: a process is known by its id and its start together, so that none which got the id later is taken for it.
Where there is no /proc, starts are 0 and no descendants are known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

_TOLERANCE_SECONDS = 2.0
# Behind the name of the program, which may hold anything.
_STATE, _PARENT, _START = 0, 1, 19


def start_time(pid: int) -> int:
    """In ticks since the machine was started; 0 when there is no such process, or only its end to be collected."""
    return _numbers(pid)[1]


def leads_session(pid: int) -> bool:
    """Whether it called setsid, as the process of every attempt does."""
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def began_after(start: int, moment: float) -> bool:
    """Whether a process that started at `start` came after `moment`, in seconds since the epoch."""
    if not start or not hasattr(time, "CLOCK_BOOTTIME"):
        return True
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + start / os.sysconf("SC_CLK_TCK") > moment - _TOLERANCE_SECONDS


def descendants(pid: int) -> set[tuple[int, int]]:
    """Id and start of each."""
    children: dict[int, list[tuple[int, int]]] = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                parent, start = _numbers(int(entry.name))
                children.setdefault(parent, []).append((int(entry.name), start))
    found: set[tuple[int, int]] = set()
    above = [pid]
    while above:
        for child in children.get(above.pop(), ()):
            if child not in found:
                found.add(child)
                above.append(child[0])
    return found


def kill_all(processes: Iterable[tuple[int, int]]) -> None:
    """SIGKILL for those that are still there."""
    for pid, start in processes:
        if start and start_time(pid) == start:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _numbers(pid: int) -> tuple[int, int]:
    """Parent and start."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(words[_PARENT]), 0 if words[_STATE] in "ZX" else int(words[_START])
    except (OSError, ValueError, IndexError):
        return 0, 0
