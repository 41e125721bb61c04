"""What several processes of a server are worth: 16 clients of one with one process, of one with two, of two servers.

All are up at the same time on one PostgreSQL, with 1,000 runs, and are called by turns, so that other load of the
machine is on all of them alike; each figure is the median of the rounds, each ratio that of the rounds' ratios. Two
servers with half of the clients each are what two processes can come to at best: the same work, spread evenly. Clients
are four processes with connections of their own, so that they are not the limit, as far as the machine has processors:
clients, PostgreSQL and servers share them, so more processes are worth less here than on a machine with more. How much
of the processors was left over, and who used them, is in the rows.

Example: python -m tools.bench --only processes
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil

from tools.bench.api_server import ApiServer, api_server
from tools.bench.many_runs import filled
from tools.bench.result import Row
from tools.databases import PostgreSQL, postgresql

_RUNS = 1_000
_ROUNDS = 5
_SECONDS = 3.0
_PROGRAMS = 4
_CLIENTS_OF_A_PROGRAM = 4
_METHODS = {
    "GetRun": ["GetRun"],
    "ListRuns": ["ListRuns"],
    # Those of one experiment are made one after another: each commits when its creation is noted there.
    "CreateRun, one experiment": ["CreateRun"],
    "CreateRun, experiments of their own": ["--own-experiments", "CreateRun"],
}
_ONE = "1 process"


@dataclass(frozen=True, slots=True)
class _Round:
    """Calls a second; milliseconds of a call; milliseconds of CPU a call; the part of the processors that idled."""

    rate: float
    median: float
    p99: float
    server_cpu: float
    database_cpu: float
    client_cpu: float
    idle: float


def measure() -> list[Row]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        database = stack.enter_context(postgresql(durable=True))
        ids = filled(database.url, _RUNS, _RUNS)

        def server(name: str, *options: str) -> ApiServer:
            return stack.enter_context(api_server(directory / name, database.url, *options))

        variants = {
            _ONE: [server("one")],
            "2 processes": [server("two", "--processes", "2")],
            "2 servers": [server("first"), server("second")],
        }
        rows: list[Row] = []
        for method, words in _METHODS.items():
            found: dict[str, list[_Round]] = {name: [] for name in variants}
            for number in range(_ROUNDS):
                names = list(variants)
                # Not always the same one first.
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    found[name].append(_round(variants[name], database, words, ids))
            rows += _rows(method, found)
    return rows


def _rows(method: str, found: Mapping[str, Sequence[_Round]]) -> list[Row]:
    rows = []
    for name, rounds in found.items():
        label = f"{method}, {_PROGRAMS * _CLIENTS_OF_A_PROGRAM} clients, {name}"
        units = {
            "rate": "calls/s", "median": "ms", "p99": "ms", "server_cpu": "ms/call", "database_cpu": "ms/call",
            "client_cpu": "ms/call", "idle": "%",
        }  # fmt: skip
        rows += [
            Row(f"{label}: {what.replace('_', ' ')}", median(getattr(one, what) for one in rounds), unit)
            for what, unit in units.items()
        ]
        if name != _ONE:
            ratios = [one.rate / alone.rate for one, alone in zip(rounds, found[_ONE], strict=True)]
            rows.append(Row(f"{label}: rate / {_ONE}", median(ratios), "×"))
            rows.append(Row(f"{label}: rate / {_ONE}, least of a round", min(ratios), "×"))
    return rows


def _round(servers: Sequence[ApiServer], database: PostgreSQL, words: Sequence[str], ids: Mapping[str, str]) -> _Round:
    addresses = [one.grpc for one in servers]
    command = [sys.executable, "-m", "tools.bench.api_clients", *words, str(_CLIENTS_OF_A_PROGRAM), str(_SECONDS)]
    programs = [
        subprocess.Popen(
            [*command, json.dumps(ids), *addresses], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(_PROGRAMS)
    ]
    for one in programs:
        assert one.stdout is not None and one.stdin is not None
        assert one.stdout.readline() == "open\n"
    serving = [part for one in servers for part in (one.process, *one.process.children(recursive=True))]
    before, idle = (_cpu(serving), _cpu(database.processes())), _idle()
    for one in programs:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [json.loads(one.communicate(timeout=120)[0]) for one in programs]
    seconds = max(one["seconds"] for one in told)
    servers_cpu, database_cpu = _cpu(serving) - before[0], _cpu(database.processes()) - before[1]
    idled = (_idle() - idle) / (seconds * (os.cpu_count() or 1))
    millis = [one for many in told for one in many["millis"]]
    count = len(millis)
    return _Round(
        count / seconds,
        median(millis),
        quantiles(millis, n=100)[98],
        1000 * servers_cpu / count,
        1000 * database_cpu / count,
        1000 * sum(one["cpu"] for one in told) / count,
        100 * idled,
    )


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in processes))


def _idle() -> float:
    return float(psutil.cpu_times().idle)
