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
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

from penstock.client import Client
from penstock_api.v2beta1 import pipeline_pb2, run_pb2
from penstock_server.storage import tables
from penstock_server.storage.database import Database
from sqlalchemy import insert, text

from tools.bench.api_server import ApiServer, api_server, rest
from tools.bench.result import Row, at_most
from tools.databases import postgresql
from tools.testing import specs

SIZES = (1_000, 10_000, 100_000)
_ROUNDS = 3
_CALLS = 150
_CLIENTS = 16
_CALLS_OF_MANY = 30
_TASKS = 5
_DETAILED = 1_000
_P99_MILLIS = 25


def measure() -> list[Row]:
    rows: list[Row] = []
    for database in ("SQLite", "PostgreSQL"):
        for size in SIZES:
            with _database(database) as (directory, url):
                ids = _fill(url, size)
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
        "CreateRun": (lambda: client.call(client.runs.CreateRun, _new(ids)), "POST"),
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


def _new(ids: dict[str, str]) -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "bench"
    request.run.pipeline_version_reference.pipeline_id = ids["pipeline"]
    request.run.pipeline_version_reference.pipeline_version_id = ids["version"]
    return request


def _fill(url: str, size: int) -> dict[str, str]:
    """Inserts finished runs, their experiments and pipelines; returns an id of each."""
    database = Database(url)
    database.migrate()
    spec = json.dumps(specs.container(["true"]))
    now = int(time.time() * 1000)
    experiments = [str(uuid.uuid4()) for _ in range(max(1, size // 100))]
    pipelines = [str(uuid.uuid4()) for _ in range(max(1, size // 10))]
    runs = [str(uuid.uuid4()) for _ in range(size)]

    def stored(table: Any, rows: list[dict[str, Any]]) -> None:
        with database.engine.begin() as connection:
            for start in range(0, len(rows), 5_000):
                connection.execute(insert(table), rows[start : start + 5_000])

    stored(tables.specs, [{"spec_hash": "bench", "pipeline_spec": spec, "platform_spec": ""}])
    stored(
        tables.experiments,
        [
            {"experiment_id": one, "name": f"experiment {n}", "created_at": now + n, "storage_state": "AVAILABLE"}
            for n, one in enumerate(experiments)
        ],
    )
    stored(
        tables.pipelines,
        [
            {"pipeline_id": one, "name": f"pipeline {n}", "display_name": f"pipeline {n}", "created_at": now + n}
            for n, one in enumerate(pipelines)
        ],
    )
    stored(
        tables.pipeline_versions,
        [
            {
                "pipeline_version_id": f"v-{one[:60]}", "pipeline_id": one, "name": "v", "display_name": "v",
                "created_at": now + n, "spec_hash": "bench",
            }
            for n, one in enumerate(pipelines)
        ],
    )  # fmt: skip
    states = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED")
    stored(
        tables.runs,
        [
            {
                "run_id": one, "experiment_id": experiments[n % len(experiments)], "display_name": f"run {n}",
                "storage_state": "AVAILABLE", "state": states[n % 4], "created_at": now - size * 1000 + n * 1000,
                "scheduled_at": now, "finished_at": now, "spec_hash": "bench", "claimable": False,
                "pipeline_id": pipelines[n % len(pipelines)],
                "pipeline_version_id": f"v-{pipelines[n % len(pipelines)][:60]}",
            }
            for n, one in enumerate(runs)
        ],
    )  # fmt: skip
    stored(
        tables.tasks,
        [
            {
                "run_id": one, "task_id": f"t{n}", "path": f"task-{n}" if n else "", "ordinal": n, "name": f"task-{n}",
                "kind": "container" if n else "dag", "state": "SUCCEEDED", "created_at": now,
                "history": json.dumps([["PENDING", now], ["RUNNING", now], ["SUCCEEDED", now]]),
            }
            for one in runs[-_DETAILED:]
            for n in range(_TASKS + 1)
        ],
    )  # fmt: skip
    if database.engine.dialect.name == "postgresql":
        # Autovacuum would do this after so many new rows, at an unpredictable time.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.dispose()
    return {
        "run": runs[-1],
        "experiment": experiments[0],
        "pipeline": pipelines[0],
        "version": f"v-{pipelines[0][:60]}",
    }
