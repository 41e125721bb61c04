"""A loop of trivial container commands on the local machine, end to end: tasks per second and memory of both programs.

For comparison, in the same run, the time to start as many processes one by one.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.result import Row
from tools.embedded import Embedded
from tools.testing import runs, specs

SIZES = (100, 1_000, 10_000)


def measure() -> list[Row]:
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as name,
        Embedded(Path(name)) as up,
        Client(up.grpc) as client,
    ):
        _run(up, client, 10)
        for size in SIZES:
            rows += _run(up, client, size)
    rows.append(Row("bare processes, one by one", _bare(500), "tasks/s"))
    return rows


def _run(up: Embedded, client: Client, size: int) -> list[Row]:
    assert up.process is not None
    programs = {
        name: process
        for process in psutil.Process(up.process.pid).children()
        for name in ("server", "executor")
        if f"penstock_{name}.main" in " ".join(process.cmdline())
    }
    before = sum(sum(one.cpu_times()[:2]) for one in programs.values())
    started = time.perf_counter()
    run_id = runs.start(client, specs.loop(size))
    peaks = dict.fromkeys(programs, 0)
    # Reads one row without tasks, so that polling does not disturb the measurement.
    predicate = json.dumps({"predicates": [{"operation": "EQUALS", "key": "run_id", "string_value": run_id}]})
    request = run_pb2.ListRunsRequest(filter=predicate)
    while True:
        for name, process in programs.items():
            peaks[name] = max(peaks[name], process.memory_info().rss)
        run = client.call(client.runs.ListRuns, request).runs[0]
        if run.state in runs.ENDED:
            break
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    assert run.state == run_pb2.SUCCEEDED, run.error
    cpu = sum(sum(one.cpu_times()[:2]) for one in programs.values()) - before
    label = f"loop of {size:,} container commands"
    return [
        Row(f"{label}: rate", size / seconds, "tasks/s"),
        Row(f"{label}: CPU of server and executor", cpu / size * 1000, "ms/task"),
        *(Row(f"{label}: peak memory, {name}", peak / 2**20, "MiB") for name, peak in sorted(peaks.items())),
    ]


def _bare(count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run(["true"], check=True)
    return count / (time.perf_counter() - started)
