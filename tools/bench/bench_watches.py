"""What watches cost a server: none, some and thousands of one run, while nothing happens and while a loop runs.

Each number of watches has a server of its own. Beside the loop another client calls ListRuns all the time: its p99 says
what others notice. The watchers are a process of their own, and share the two cores with everything else.

Example: python -m tools.bench --only watches
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from penstock.client import Client
from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import run_pb2

from tools.bench.result import Row, at_least, at_most
from tools.embedded import Embedded
from tools.testing import runs, specs

_NUMBERS = (0, 1, 200, 2000)
# As many as look at one run on a busy day; of more it is asked that all hear the end.
_HEARS_SOON = 200
_ITERATIONS = 1000
SETTLED_SECONDS = 5.0
_IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Figures:
    """`idle` is what the watches cost, in seconds of CPU a second; `memory` in MiB, the others in seconds."""

    idle: float
    loop: float
    busy: float
    memory: float
    p99: float
    heard: dict[str, Any]


def measure() -> list[Row]:
    found = {number: _with(number) for number in _NUMBERS}
    return [row for number, figures in found.items() for row in _rows(f"{number:,} watches", number, figures)]


def _with(number: int) -> _Figures:
    """The figures of a server with so many watches."""
    # The loop waits behind a task that waits for a file, so that all watches are open before it begins.
    with tempfile.TemporaryDirectory() as directory:
        go = Path(directory) / "go"
        spec = specs.loop(_ITERATIONS)
        specs.behind(spec, ["sh", "-c", f"while [ ! -e {go} ]; do sleep 0.1; done"])
        with Embedded(Path(directory) / "data", "--parallelism", "4") as up, Client(up.grpc) as client:
            run_id = runs.start(client, spec)
            server = up.child("penstock_server")
            time.sleep(SETTLED_SECONDS)
            alone = idle_of(server)
            watchers = _watchers(up.grpc, run_id, number)
            time.sleep(SETTLED_SECONDS)
            idle = idle_of(server) - alone
            began, before = time.monotonic(), cpu_of(server)
            go.touch()
            p99 = _beside(up.grpc, run_id)
            seconds, busy = time.monotonic() - began, cpu_of(server) - before
            memory = server.memory_info().rss / 2**20
            heard = _heard(watchers)
    return _Figures(idle, seconds, busy, memory, p99, heard)


def _rows(title: str, number: int, figures: _Figures) -> list[Row]:
    idle = f"{title}: CPU while nothing happens, more than before", figures.idle * 1000, "ms/s"
    rows = [
        at_most(*idle, 2.0) if number == 1 else Row(*idle),
        Row(f"{title}: loop of {_ITERATIONS:,}", figures.loop, "s"),
        Row(f"{title}: CPU of the server meanwhile", figures.busy, "s"),
        Row(f"{title}: memory of the server", figures.memory, "MiB"),
        Row(f"{title}: ListRuns meanwhile, p99", figures.p99 * 1000, "ms"),
    ]
    if figures.heard:
        delays = figures.heard["delays"]
        rows += [
            at_least(f"{title}: heard the end", figures.heard["ends"], "", number),
            _told(f"{title}: task ended -> told, p50", percentile(delays, 50), 300, number),
            _told(f"{title}: task ended -> told, p99", percentile(delays, 99), 1000, number),
        ]
    return rows


def _told(name: str, millis: float, limit: float, number: int) -> Row:
    return at_most(name, millis, "ms", limit) if number <= _HEARS_SOON else Row(name, millis, "ms")


def _watchers(server: str, run_id: str, number: int) -> subprocess.Popen[str] | None:
    """Returns when all are open."""
    if not number:
        return None
    command = [sys.executable, "-m", "tools.bench.watchers", server, run_id, str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def _heard(watchers: subprocess.Popen[str] | None) -> dict[str, Any]:
    if watchers is None:
        return {}
    said, _ = watchers.communicate(timeout=120)
    found: dict[str, Any] = json.loads(said)
    return found


def _beside(server: str, run_id: str) -> float:
    """Seconds of the slowest in a hundred calls, until the run has ended."""
    ended = threading.Event()
    taken: list[float] = []

    def call() -> None:
        with Client(server) as client:
            while not ended.is_set():
                began = time.perf_counter()
                client.runs.ListRuns(run_pb2.ListRunsRequest(page_size=1), timeout=60)
                taken.append(time.perf_counter() - began)
                ended.wait(0.02)

    thread = threading.Thread(target=call)
    thread.start()
    with Client(server) as client:
        request = watch_pb2.WatchRunRequest(run_id=run_id, until_finished=True)
        for _ in client.watches.WatchRun(request, timeout=600):
            pass
    ended.set()
    thread.join()
    return percentile(taken, 99)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many in a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def idle_of(process: psutil.Process) -> float:
    """Seconds of CPU a second."""
    before = cpu_of(process)
    time.sleep(_IDLE_SECONDS)
    return (cpu_of(process) - before) / _IDLE_SECONDS


def cpu_of(process: psutil.Process) -> float:
    """Seconds that it has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
