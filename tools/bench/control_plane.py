"""The CPU that programs of a cluster on this machine have used, for benchmarks of what Penstock asks of them."""

from __future__ import annotations

import psutil


def control_plane(name: str) -> psutil.Process | None:
    """The process of a program such as `kube-apiserver`; None when the cluster is elsewhere."""
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].rpartition("/")[2] == name:
            return process
    return None


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time so far."""
    return float(sum(process.cpu_times()[:2]))
