"""The API with many rows, on SQLite and PostgreSQL: latency, rate and CPU per request, over gRPC and REST.

With 1,000, 10,000 and 100,000 runs, a hundredth as many experiments, a tenth as many pipelines; one client at a time,
and 16 at once where there are most rows. Every figure is the median of several rounds, so that other load of the
machine has little effect. A client is a thread of this process, so its own cost is part of the latencies of 16 clients.

Example: python -m tools.bench --only api
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from statistics import median, quantiles
from urllib.parse import quote

from penstock.client import Client
from penstock_api.v2beta1 import pipeline_pb2, run_pb2

from tools.bench.api_server import ApiServer, api_server, rest
from tools.bench.many_runs import filled, new_run
from tools.bench.result import Row, at_most
from tools.databases import postgresql

SIZES = (1_000, 10_000, 100_000)
_ROUNDS = 3
_CALLS = 150
_CLIENTS = 16
_CALLS_OF_MANY = 30
_DETAILED = 1_000
_P99_MILLIS = 25


def measure() -> list[Row]:
    rows: list[Row] = []
    for database in ("SQLite", "PostgreSQL"):
        for size in SIZES:
            with _database(database) as (directory, url):
                ids = filled(url, size, _DETAILED)
                with api_server(directory, url) as up, Client(up.grpc) as client:
                    rows += _measured(up, client, f"{database}, {size:,} runs", size, ids)
    return rows


@contextmanager
def _database(name: str) -> Iterator[tuple[Path, str]]:
    """A directory for the server, and the URL of an empty database that survives a crash of its server."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        if name == "SQLite":
            yield Path(directory), f"sqlite:///{Path(directory) / 'penstock.db'}"
        else:
            with postgresql(durable=True) as server:
                yield Path(directory), server.url


def _measured(up: ApiServer, client: Client, title: str, size: int, ids: dict[str, str]) -> list[Row]:
    rows = []
    last = _last_token(client)
    state = {"predicates": [{"operation": "EQUALS", "key": "state", "string_value": "FAILED"}]}
    # What the web UI asks for.
    not_archived = {"predicates": [{"operation": "NOT_EQUALS", "key": "storage_state", "string_value": "ARCHIVED"}]}
    calls: dict[str, tuple[Callable[[], object], str]] = {
        "GetRun": (
            lambda: client.call(client.runs.GetRun, run_pb2.GetRunRequest(run_id=ids["run"])),
            f"/apis/v2beta1/runs/{ids['run']}",
        ),
        "ListRuns": (
            lambda: client.call(client.runs.ListRuns, run_pb2.ListRunsRequest()),
            "/apis/v2beta1/runs",
        ),
        "ListRuns, newest first": (
            lambda: client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(sort_by="created_at desc")),
            "/apis/v2beta1/runs?sort_by=created_at%20desc",
        ),
        "ListRuns, not archived, newest first": (
            lambda: client.call(
                client.runs.ListRuns,
                run_pb2.ListRunsRequest(sort_by="created_at desc", filter=json.dumps(not_archived)),
            ),
            f"/apis/v2beta1/runs?sort_by=created_at%20desc&filter={quote(json.dumps(not_archived))}",
        ),
        "ListRuns, failed": (
            lambda: client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(filter=json.dumps(state))),
            f"/apis/v2beta1/runs?filter={quote(json.dumps(state))}",
        ),
        "ListRuns, of one experiment": (
            lambda: client.call(
                client.runs.ListRuns,
                run_pb2.ListRunsRequest(experiment_id=ids["experiment"], sort_by="created_at desc"),
            ),
            f"/apis/v2beta1/runs?sort_by=created_at%20desc&experiment_id={ids['experiment']}",
        ),
        "ListRuns, last page": (
            lambda: client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(page_token=last, page_size=200)),
            f"/apis/v2beta1/runs?page_size=200&page_token={quote(last)}",
        ),
        "GetPipelineVersion": (
            lambda: client.call(
                client.pipelines.GetPipelineVersion,
                pipeline_pb2.GetPipelineVersionRequest(pipeline_id=ids["pipeline"], pipeline_version_id=ids["version"]),
            ),
            f"/apis/v2beta1/pipelines/{ids['pipeline']}/versions/{ids['version']}",
        ),
        "CreateRun": (lambda: client.call(client.runs.CreateRun, new_run(ids)), "POST"),
    }
    for name, (call, path) in calls.items():
        body = json.dumps(_new_document(ids)) if path == "POST" else None
        path = "/apis/v2beta1/runs" if body else path
        with ExitStack() as stack:
            gets = SimpleQueue[Callable[[], object]]()
            for _ in range(_CLIENTS):
                gets.put(stack.enter_context(rest(up, path, body)))
            protocols: dict[str, Callable[[], object]] = {"gRPC": call, "REST": partial(_with_one, gets)}
            one = {protocol: _timed(up, work, 1, _CALLS) for protocol, work in protocols.items()}
            for protocol, figures in one.items():
                rows += _rows(f"{title}: {name}, {protocol}", figures, _P99_MILLIS)
            ratio = one["REST"].median / one["gRPC"].median
            rows.append(at_most(f"{title}: {name}, REST / gRPC, medians", ratio, "×", 1.5))
            if size == SIZES[-1]:
                for protocol, work in protocols.items():
                    figures = _timed(up, work, _CLIENTS, _CALLS_OF_MANY)
                    rows += _rows(f"{title}: {name}, {protocol}, {_CLIENTS} clients", figures)
    return rows


@dataclass(frozen=True, slots=True)
class _Figures:
    """Latencies in milliseconds, calls per second, CPU milliseconds of the server per call."""

    median: float
    p99: float
    rate: float
    cpu: float


def _rows(label: str, figures: _Figures, p99_limit: float | None = None) -> list[Row]:
    p99 = f"{label}: p99"
    return [
        Row(f"{label}: median", figures.median, "ms"),
        Row(p99, figures.p99, "ms") if p99_limit is None else at_most(p99, figures.p99, "ms", p99_limit),
        Row(f"{label}: rate", figures.rate, "calls/s"),
        Row(f"{label}: CPU", figures.cpu, "ms/call"),
    ]


def _timed(up: ApiServer, call: Callable[[], object], clients: int, count: int) -> _Figures:
    """`count` calls per client and round."""
    for _ in range(5):
        call()
    rounds = [_round(up, call, clients, count) for _ in range(_ROUNDS)]
    return _Figures(*(median(getattr(one, name) for one in rounds) for name in ("median", "p99", "rate", "cpu")))


def _round(up: ApiServer, call: Callable[[], object], clients: int, count: int) -> _Figures:
    def work(_: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            call()
            times.append((time.perf_counter() - started) * 1000)
        return times

    before, started = sum(up.process.cpu_times()[:2]), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [one for many in pool.map(work, range(clients)) for one in many]
    seconds = time.perf_counter() - started
    cpu = (sum(up.process.cpu_times()[:2]) - before) * 1000
    return _Figures(median(times), quantiles(times, n=100)[98], len(times) / seconds, cpu / len(times))


def _with_one(gets: SimpleQueue[Callable[[], object]]) -> None:
    """A call over a connection that no other thread uses at that time."""
    get = gets.get()
    try:
        get()
    finally:
        gets.put(get)


def _last_token(client: Client) -> str:
    token = ""
    while True:
        reply = client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(page_token=token, page_size=200))
        if not reply.next_page_token:
            return token
        token = reply.next_page_token


def _new_document(ids: dict[str, str]) -> dict[str, object]:
    reference = {"pipeline_id": ids["pipeline"], "pipeline_version_id": ids["version"]}
    return {"display_name": "bench", "pipeline_version_reference": reference}
