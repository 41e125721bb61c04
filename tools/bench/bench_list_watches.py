"""What a thousand watches of twenty lists cost a server, while nothing happens and while runs go by; beside none.

Each number of watches has a server of its own, with an executor that carries the runs out. Beside them another client
calls ListRuns all the time. The watchers are a process of their own, and share the two cores with everything else.

Example: python -m tools.bench --only list_watches
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.bench_watches import SETTLED_SECONDS, cpu_of, idle_of, percentile
from tools.bench.result import Row, at_least
from tools.embedded import Embedded
from tools.testing import runs, specs

_NUMBERS = (0, 1000)
_LISTS = 20
_RUNS = 1000


def measure() -> list[Row]:
    return [row for number in _NUMBERS for row in _with(number)]


def _with(number: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "data", "--parallelism", "4") as up:
        server = up.child("penstock_server")
        with Client(up.grpc) as client:
            for _ in range(_LISTS):
                runs.start(client, specs.container(["true"]))
            runs.until(lambda: runs.unfinished(client), lambda left: left == 0, 300)
        time.sleep(SETTLED_SECONDS)
        alone = idle_of(server)
        watchers = _watchers(up.grpc, number)
        time.sleep(SETTLED_SECONDS)
        idle = idle_of(server) - alone
        began, before = time.monotonic(), cpu_of(server)
        p99 = _runs_go_by(up.grpc)
        seconds, busy = time.monotonic() - began, cpu_of(server) - before
        memory = server.memory_info().rss / 2**20
        said, _ = watchers.communicate("", timeout=120)
    heard = json.loads(said.splitlines()[-1])
    title = f"{number:,} watches of {_LISTS} lists"
    return [
        Row(f"{title}: CPU while nothing happens, more than before", idle * 1000, "ms/s"),
        Row(f"{title}: {_RUNS:,} runs", seconds, "s"),
        Row(f"{title}: CPU of the server meanwhile", busy, "s"),
        Row(f"{title}: memory of the server", memory, "MiB"),
        Row(f"{title}: ListRuns meanwhile, p99", p99 * 1000, "ms"),
        Row(f"{title}: messages", heard["messages"], ""),
        at_least(f"{title}: still open", heard["open"], "", number),
    ]


def _watchers(server: str, number: int) -> subprocess.Popen[str]:
    """Returns when all are open."""
    command = [sys.executable, "-m", "tools.bench.list_watchers", server, str(number), str(_LISTS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def _runs_go_by(server: str) -> float:
    """Seconds of the slowest in a hundred calls beside them, until all runs have ended."""
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
    try:
        with Client(server) as client:
            for _ in range(_RUNS):
                runs.start(client, specs.container(["true"]))
            runs.until(lambda: runs.unfinished(client), lambda left: left == 0, 1800)
    finally:
        ended.set()
        thread.join()
    return percentile(taken, 99)
