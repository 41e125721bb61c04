"""What one process knows of the processes of its server: how many there are, and which of them it is.

Why several: Python runs one thread at a time, so a process uses little more than one core
(docs/decisions/several-processes.md). `supervisor` starts them; a server of one process has none above it and is
`ALONE`.

Invariant: importing this module is cheap; the supervisor imports nothing that starts a thread.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Process:
    """One of `count`, by its `number` from 0, which the process keeps that is started in its place.

    `supervisor` is a connection that ends with the supervisor; `key` is a secret that all of them have.
    """

    number: int = 0
    count: int = 1
    supervisor: socket.socket | None = None
    key: str = ""

    def is_alone(self) -> bool:
        """Whether there is no other process, and no supervisor."""
        return self.count == 1

    def siblings(self) -> tuple[int, ...]:
        """The numbers of the others."""
        return tuple(number for number in range(self.count) if number != self.number)

    def socket_name(self, number: int, purpose: str) -> str:
        """Of a socket of the process with that number: one of Linux's abstract names, which are no files.

        It tells nothing of the key: whoever is on this machine can list such names.
        """
        return f"\0penstock-{hashlib.sha256(self.key.encode()).hexdigest()[:32]}-{number}-{purpose}"

    def say_ready(self, line: str) -> None:
        """Tells the supervisor that the ports answer; it prints the line for all."""
        if self.supervisor is not None:
            self.supervisor.sendall(line.encode() + b"\n")


ALONE = Process()


def usable_cpus(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """The processors that this process may run on, and that its cgroup lets it use; a part of one counts as one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text("ascii").split()
        allowed = -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        # No cgroup of version 2, or "max": no quota.
        return affinity
    return max(1, min(affinity, allowed))
