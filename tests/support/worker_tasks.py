"""What a process for documents is told to do in tests: tasks that end, hang, grow or fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_hoard: list[bytes] = []
Result = tuple[dict[str, Any], bytes]


def echo(values: Mapping[str, Any], content: bytes) -> Result:
    reply = {
        "values": values,
        "pid": os.getpid(),
        "niceness": os.nice(0),
        "oom_score": Path("/proc/self/oom_score_adj").read_text().strip(),
        "environ": dict(os.environ),
    }
    return reply, content


def die(values: Mapping[str, Any], content: bytes) -> Result:
    os.kill(os.getpid(), values["signal"])
    raise AssertionError


def leave(values: Mapping[str, Any], content: bytes) -> Result:
    os._exit(0)


def hang(values: Mapping[str, Any], content: bytes) -> Result:
    signal.pause()
    raise AssertionError


def compute(values: Mapping[str, Any], content: bytes) -> Result:
    while True:
        sum(range(10_000_000))


def grow(values: Mapping[str, Any], content: bytes) -> Result:
    kept = [bytes(1 << 20) for _ in range(values["megabytes"])]
    return {"kept": len(kept)}, b""


def hoard(values: Mapping[str, Any], content: bytes) -> Result:
    _hoard.extend(b"x" * (1 << 20) for _ in range(values["megabytes"]))
    return {"pid": os.getpid()}, b""


def fail(values: Mapping[str, Any], content: bytes) -> Result:
    raise LookupError("something that nobody foresaw")
