"""Loops of thousands of Pods: the cost of server and executor, and how it grows.

Two ways. Simulated: with `tools.sim_kube`, an API server with the real protocol whose Pods end by themselves, in a
process on the same cores; it shows how cost grows. Real: the API server of KUBECONFIG with KWOK's fake
nodes, next to the rate at which a plain client makes and removes bare Pods there in the same run.

Warm: loops in workers of the simulated cluster, whose agents are real ones.

Example: python -m tools.bench.bench_scale --sizes 1000,10000 --real 1000
"""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from rich.console import Console

from tools import object_stores
from tools.bench.control_plane import control_plane, cpu_seconds
from tools.bench.pod_watch import PodWatch
from tools.bench.pods_environment import BUCKET, pods_environment
from tools.bench.report import show
from tools.bench.result import Row, at_least, at_most
from tools.cluster import Cluster
from tools.embedded import Embedded
from tools.kwok import kwok
from tools.sim_kube.process import Troublemaker, sim_kube
from tools.testing import kube_specs, runs

# The termination message of a task without outputs. Times that cannot be would cost lines in the executor's log.
MESSAGE = json.dumps({"exit": {"code": 0}, "parameters": {}})
WARM = {"workers": "namespace", "workersDefault": "namespace", "workersMax": "20"}
NAMESPACE = "tasks"


@dataclass(slots=True)
class Cost:
    """The measurements of one load. CPU in seconds, of which `executor` is the executor's; memory in bytes."""

    seconds: float
    cpu: float
    executor: float
    peak: int
    database: int


class Programs:
    """Server and executor of a Penstock, as the operating system sees them."""

    def __init__(self, up: Embedded) -> None:
        self._up = up

    def all(self) -> list[psutil.Process]:
        return [self._up.child("penstock_server"), self._up.child("penstock_executor")]

    def cpu(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self.all())

    def executor_cpu(self) -> float:
        return cpu_seconds(self._up.child("penstock_executor"))

    def memory(self) -> int:
        return sum(one.memory_info().rss for one in self.all())


@contextmanager
def penstock(
    directory: Path, kubeconfig: str, namespace: str, settings: Mapping[str, str] | None = None
) -> Iterator[Embedded]:
    """With an S3 server, where the logs of all tasks are archived; `settings` are further PENSTOCK_ variables."""
    with object_stores.s3([BUCKET]) as s3:
        environment = {**pods_environment(directory, s3, kubeconfig, namespace), **(settings or {})}
        with Embedded(directory, "--backend", "kubernetes", environment=environment) as up:
            yield up
            # A log that cannot be had costs something else than one that is kept.
            assert "cannot be archived" not in up.log_file.read_text()


def load(up: Embedded, client: Client, spec: Mapping[str, Any], count: int = 1) -> Cost:
    """Runs `count` runs of a pipeline to their end."""
    programs, database = Programs(up), up.data_dir / "penstock.db"
    cpu, executor, size = programs.cpu(), programs.executor_cpu(), _size(database)
    started = time.perf_counter()
    wanted = {runs.start(client, spec) for _ in range(count)}
    peak = 0
    while True:
        peak = max(peak, programs.memory())
        if runs.unfinished(client) == 0:
            break
        time.sleep(0.25)
    seconds = time.perf_counter() - started
    for run_id in list(wanted)[:3]:
        assert runs.get(client, run_id).state == run_pb2.SUCCEEDED
    spent = programs.executor_cpu() - executor
    return Cost(seconds, programs.cpu() - cpu, spent, peak, _size(database) - size)


def _size(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.stat().st_size


def simulated(sizes: list[int], concurrent: int) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        for size in sizes:
            with _world(Path(name) / str(size)) as (kube, up, client):
                cost = load(up, client, kube_specs.loop(size))
                rows += [*_rows(label := f"loop of {size:,}", size, cost, kube), _removed(label, size, cost, kube, up)]
        if concurrent:
            with _world(Path(name) / "concurrent") as (kube, up, client):
                cost = load(up, client, kube_specs.loop(10), concurrent)
                label, tasks = f"{concurrent:,} concurrent runs of 10", concurrent * 10
                rows += [*_rows(label, tasks, cost, kube), _removed(label, tasks, cost, kube, up)]
    return rows


def warm(sizes: list[int]) -> list[Row]:
    """Loops of attempts that take no time, in 20 workers: what is between two attempts of a worker."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        for size in sizes:
            with _world(Path(name) / str(size), WARM) as (kube, up, client):
                # Has all the workers made.
                load(up, client, kube_specs.loop(100))
                spec = kube_specs.loop(size)
                for executor in spec["pipeline_spec"]["deploymentSpec"]["executors"].values():
                    executor["container"]["env"] = [{"name": "SIM_OUTCOME", "value": '{"seconds": 0}'}]
                cost = load(up, client, spec)
                label = f"loop of {size:,} in workers"
                rows += [
                    *_rows(label, size, cost, kube),
                    Row(f"{label}: CPU of the executor alone", cost.executor / size * 1000, "ms/task"),
                    at_most(f"{label}: Pods", kube.stats()["pods_created"], "", int(WARM["workersMax"])),
                ]
    return rows


def allow_workers(cluster: Cluster, namespace: str, policy: Mapping[str, str]) -> None:
    """Before the executor reads it: what it has read holds for a while."""
    place = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.create(place, {"metadata": {"name": "penstock"}, "data": dict(policy)})


@contextmanager
def _world(directory: Path, policy: Mapping[str, str] | None = None) -> Iterator[tuple[Troublemaker, Embedded, Client]]:
    with sim_kube("--latency", "1", "--message", MESSAGE, "--namespace", NAMESPACE) as kube:
        if policy:
            with Cluster(str(kube.kubeconfig)) as cluster:
                allow_workers(cluster, NAMESPACE, policy)
        with penstock(directory, str(kube.kubeconfig), NAMESPACE) as up, Client(up.grpc) as client:
            load(up, client, kube_specs.loop(20))
            yield kube, up, client


def _rows(label: str, tasks: int, cost: Cost, kube: Troublemaker) -> list[Row]:
    stats = kube.stats()
    rate = Row(f"{label}: rate", tasks / cost.seconds, "tasks/s")
    peak = Row(f"{label}: peak memory of server and executor", cost.peak / 2**20, "MiB")
    if tasks == 10_000:
        rate, peak = at_least(rate.name, rate.value, rate.unit, 200), at_most(peak.name, peak.value, peak.unit, 600)
    return [
        rate,
        Row(f"{label}: CPU of server and executor", cost.cpu / tasks * 1000, "ms/task"),
        Row(f"{label}: CPU of the simulated API server", stats["cpu_seconds"] / tasks * 1000, "ms/task"),
        peak,
        Row(f"{label}: database", cost.database / tasks, "bytes/task"),
        at_most(f"{label}: Pods made twice", len(stats["created_twice"]), "", 0),
    ]


def _removed(label: str, tasks: int, cost: Cost, kube: Troublemaker, up: Embedded) -> Row:
    """Logs are archived and Pods removed behind the runs, which end before that is done."""
    programs = Programs(up)
    before = programs.cpu()
    runs.until(lambda: kube.stats()["pods"], lambda left: left == 0, 600)
    spent = cost.cpu + programs.cpu() - before
    return Row(f"{label}: CPU until the last Pod was removed", spent / tasks * 1000, "ms/task")


def recovery(running: int) -> list[Row]:
    """kill -9 of server and executor with so many tasks running: until the next decision, which is a task's start."""
    with (
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as name,
        sim_kube("--latency", "60", "--message", MESSAGE, "--namespace", NAMESPACE) as kube,
        penstock(Path(name), str(kube.kubeconfig), NAMESPACE) as up,
        Client(up.grpc) as client,
    ):
        run_id = runs.start(client, kube_specs.loop(running))
        runs.until(lambda: kube.stats()["pods_created"], lambda made: made >= running, 120)
        victims = Programs(up).all()
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        started = time.perf_counter()
        # A run that is new has to wait for whatever a restart takes; so has every other decision.
        runs.until(lambda: runs.start(client, kube_specs.loop(1)), bool, 60)
        runs.until(lambda: kube.stats()["pods_created"], lambda made: made > running, 60)
        seconds = time.perf_counter() - started
        run = runs.finished(client, run_id, 300)
        assert run.state == run_pb2.SUCCEEDED, run.error.message
        twice = len(kube.stats()["created_twice"])
    label = f"kill -9 with {running:,} running tasks"
    return [
        at_most(f"{label}: next Pod after", seconds, "s", 5),
        at_most(f"{label}: Pods made twice", twice, "", 0),
    ]


def real(sizes: list[int]) -> list[Row]:
    rows: list[Row] = []
    with (
        Cluster() as cluster,
        kwok(cluster, message=MESSAGE) as nodes,
        cluster.namespace("penstock-scale", {}) as namespace,
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as name,
    ):
        template = json.dumps({"spec": dict(nodes.pod_spec)})
        cluster.create(
            f"/api/v1/namespaces/{namespace}/configmaps",
            {"metadata": {"name": "penstock"}, "data": {"podTemplate": template}},
        )
        with penstock(Path(name), cluster.kubeconfig, namespace) as up, Client(up.grpc) as client:
            load(up, client, kube_specs.loop(20))
            for size in sizes:
                server = control_plane("kube-apiserver")
                idle = cpu_seconds(server) if server else 0.0
                plain = cluster.wait(plain_rate(cluster.client, namespace, nodes.pod_spec, size))
                before = cpu_seconds(server) if server else 0.0
                cost = load(up, client, kube_specs.loop(size))
                rate = size / cost.seconds
                label = f"real API server, loop of {size:,}"
                rows += [
                    Row(f"{label}: rate", rate, "tasks/s"),
                    Row(f"{label}: bare creates and deletes of a plain client", plain, "Pods/s"),
                    at_least(f"{label}: ratio", rate / plain, "x", 0.8),
                    Row(f"{label}: CPU of server and executor", cost.cpu / size * 1000, "ms/task"),
                ]
                if server:
                    ours, bare = ((cpu_seconds(server) - before) / size * 1000, (before - idle) / size * 1000)
                    rows += [
                        Row(f"{label}: CPU of the API server", ours, "ms/task"),
                        Row(f"{label}: its CPU for a bare Pod", bare, "ms/Pod"),
                        Row(f"{label}: ratio of its CPU", ours / bare, "x"),
                    ]
    return rows


async def plain_rate(client: Any, namespace: str, spec: Mapping[str, Any], count: int) -> float:
    """The rate in Pods per second at which a plain client creates Pods, sees them end and deletes them."""
    watch = PodWatch(client, namespace, spec)
    watching = asyncio.create_task(watch.run())
    try:
        started = time.perf_counter()
        await watch.bare(count)
        await watch.quiet()
        return count / (time.perf_counter() - started)
    finally:
        watching.cancel()


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sizes", default="1000,10000", show_default=True, help="Loops on the simulated cluster.")
@click.option("--concurrent", default=1000, show_default=True, help="Runs of 10 at the same time; 0 for none.")
@click.option("--running", default=1000, show_default=True, help="Tasks that run when everything is killed; 0: none.")
@click.option("--warm", "warm_sizes", default="1000", show_default=True, help="Loops in workers; empty for none.")
@click.option("--real", "real_sizes", default="", help="Loops on the cluster of KUBECONFIG with fake nodes.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/bench-scale.json"), show_default=True)
def main(sizes: str, concurrent: int, running: int, warm_sizes: str, real_sizes: str, report: Path) -> None:
    console = Console()
    rows: list[Row] = []
    parts: list[tuple[str, Callable[[], list[Row]], bool]] = [
        ("simulated", lambda: simulated(_numbers(sizes), concurrent), bool(sizes)),
        ("recovery", lambda: recovery(running), running > 0),
        ("warm", lambda: warm(_numbers(warm_sizes)), bool(warm_sizes)),
        ("real", lambda: real(_numbers(real_sizes)), bool(real_sizes)),
    ]
    for name, measure, wanted in parts:
        if wanted:
            with console.status(f"measuring: {name}"):
                rows += measure()
    show(rows, report)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    main()
