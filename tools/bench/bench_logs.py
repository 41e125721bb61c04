"""What logs that are followed cost a server: none, one and hundreds, while the tasks are silent and while they write.

Each number of followers has a server of its own, and ten tasks whose logs they follow over gRPC. The followers are a
process of their own, and share the two cores with everything else.

Example: python -m tools.bench --only logs
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from penstock.client import Client

from tools.bench.result import Row, at_least, at_most
from tools.embedded import Embedded
from tools.testing import runs, specs

_NUMBERS = (0, 1, 500)
_TASKS = [f"task-{number}" for number in range(10)]
_LINES = 100
_PAUSE_SECONDS = 0.2
_SETTLED_SECONDS = 5.0
_IDLE_SECONDS = 20.0
# A line says when it was written.
_WRITES = f"""
import pathlib, sys, time
print("begun", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.1)
for number in range({_LINES}):
    print(time.time_ns() // 1_000_000, "x" * 80, flush=True)
    time.sleep({_PAUSE_SECONDS})
"""


@dataclass(frozen=True, slots=True)
class _Figures:
    """`idle` and `busy` in seconds of CPU a second, `memory` in MiB."""

    idle: float
    busy: float
    memory: float
    threads: int
    heard: dict[str, Any]


def measure() -> list[Row]:
    return [row for number in _NUMBERS for row in _rows(number, _with(number))]


def _with(number: int) -> _Figures:
    """The figures of a server with so many followers."""
    with tempfile.TemporaryDirectory() as directory:
        go = Path(directory) / "go"
        spec = specs.chain({task: [sys.executable, "-c", _WRITES, str(go)] for task in _TASKS})
        for task in spec["root"]["dag"]["tasks"].values():
            task.pop("dependentTasks", None)
        options = ("--parallelism", str(len(_TASKS)))
        with Embedded(Path(directory) / "data", *options) as up, Client(up.grpc) as client:
            run_id = runs.start(client, spec)
            runs.until(
                lambda: [runs.log(client, run_id, task) for task in _TASKS],
                lambda logs: set(logs) == {b"begun\n"},
                300,
            )
            server = up.child("penstock_server")
            followers = _followers(up.grpc, run_id, number)
            time.sleep(_SETTLED_SECONDS)
            idle = _rate(server, _IDLE_SECONDS)
            threads = server.num_threads()
            go.touch()
            busy = _rate(server, _LINES * _PAUSE_SECONDS)
            memory = server.memory_info().rss / 2**20
            runs.finished(client, run_id)
            heard = _heard(followers)
    return _Figures(idle, busy, memory, threads, heard)


def _rows(number: int, figures: _Figures) -> list[Row]:
    title = f"{number:,} followers"
    rows = [
        Row(f"{title}: CPU while nothing is written", figures.idle * 1000, "ms/s"),
        Row(f"{title}: CPU while ten tasks write five lines a second each", figures.busy * 1000, "ms/s"),
        Row(f"{title}: memory of the server", figures.memory, "MiB"),
        at_most(f"{title}: threads of the server", figures.threads, "", 100),
    ]
    if figures.heard:
        delays = figures.heard["delays"]
        rows += [
            at_least(f"{title}: got every byte", figures.heard["whole"], "", number),
            Row(f"{title}: line written -> received, p50", _percentile(delays, 50), "ms"),
            at_most(f"{title}: line written -> received, p99", _percentile(delays, 99), "ms", 2000),
        ]
    return rows


def _followers(server: str, run_id: str, number: int) -> subprocess.Popen[str] | None:
    """Returns when all have had the first line."""
    if not number:
        return None
    command = [sys.executable, "-m", "tools.bench.followers", server, run_id, str(number), *_TASKS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def _heard(followers: subprocess.Popen[str] | None) -> dict[str, Any]:
    if followers is None:
        return {}
    said, _ = followers.communicate(timeout=120)
    found: dict[str, Any] = json.loads(said)
    return found


def _percentile(ordered: list[int], percent: int) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _rate(process: psutil.Process, seconds: float) -> float:
    """Seconds of CPU a second."""
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - before) / seconds
