"""Runs the programs of a task's Pod as a container runtime would, and reads their results.

Two binaries of each: the committed one, and one of the same source that ends as soon as it reads or writes outside of
an object or does what C leaves undefined. The compiler of the committed one has no runtime library for the first of the
two checks, hence the machine's own compiler; what cannot be built fails its tests.
"""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from tools import debian
from tools.build_wrapper import AGENT, ROOT

_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
WRAPPER = AGENT / "bin" / f"run-{_MACHINE}"
WORKER = AGENT / "bin" / f"worker-{_MACHINE}"
_USER_NAMESPACE = () if os.geteuid() == 0 else ("--user", "--map-root-user")
CONTAINER = ("unshare", *_USER_NAMESPACE, "--pid", "--fork", "--kill-child", "--mount-proc")
"""The wrapper is PID 1, so that whatever it leaves behind ends with it."""


_CHECKS = (
    "-std=c11",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


@cache
def sanitized(program: str = "run") -> Path:
    """The binary with the checks. Raises RuntimeError, CalledProcessError."""
    debian.require("gcc")
    place = ROOT / "build"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        made = Path(scratch) / program
        subprocess.run(["gcc", *_CHECKS, "-o", made, AGENT / f"{program}.c"], check=True)
        # Others may build it at the same time.
        return made.rename(place / f"{program}-sanitized")


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
    """Polls until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
