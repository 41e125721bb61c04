"""Runs the committed wrapper of a task's Pod as a container runtime would, and reads what it leaves."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

WRAPPER = (Path(__file__).resolve().parents[2] / "executor" / "penstock_executor" / "agent" / "bin") / {
    "x86_64": "run-amd64",
    "aarch64": "run-arm64",
}[platform.machine()]
_USER_NAMESPACE = () if os.geteuid() == 0 else ("--user", "--map-root-user")
CONTAINER = ("unshare", *_USER_NAMESPACE, "--pid", "--fork", "--kill-child", "--mount-proc")
"""The wrapper is PID 1, so that whatever it leaves behind ends with it."""


def start(*arguments: str, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[bytes]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*prefix, str(WRAPPER), *arguments], **options)


def wrapper_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The wrapper itself, whatever it was started through."""
    found = psutil.Process(process.pid)

    def is_wrapper() -> bool:
        nonlocal found
        if found.cmdline()[:1] == [str(WRAPPER)]:
            return True
        found = (found.children() or [found])[0]
        return False

    until(is_wrapper)
    return found


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for what has to come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
