"""Tasks in warm workers beside the same tasks in Pods of their own and beside bare Pods, in one run on one cluster.

Commands (`true`) and lightweight Python components, each alone, one after another and in loops: as bare Pods made by a
plain client, in Pods of their own (cold), in workers of their run, which each run has made anew, and in the namespace's
workers after a run of the same pipeline (warm). The image of the components has the SDK, so that nothing is fetched.

Examples: python -m tools.bench --only workers
A few minutes: python -m tools.bench.bench_workers --small
Without a cluster, on the simulated one: python -m tools.bench.bench_workers --small --simulated

Invariants: Pods are counted by a watch, writes by the executor's metrics. What lies between two tasks of a chain is
read off the tasks' times, which programs in the Pods took. Bare Pods, cold ones and workers of a run take turns; the
namespace's workers, which stay, come last.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_executor.backends.kubernetes.worker_policy import NO_WORKERS
from penstock_kube.config import load_cluster
from penstock_kube.errors import KubeConfigError
from rich.console import Console

from tools.bench.bench_scale import MESSAGE, NAMESPACE, allow_workers, penstock
from tools.bench.executor_metrics import writes
from tools.bench.pod_watch import PodWatch, bare_pod
from tools.bench.report import show
from tools.bench.result import Row, at_most
from tools.cluster import Cluster
from tools.kube_penstock import kube_penstock
from tools.ports import free_port
from tools.sim_kube.process import sim_kube
from tools.testing import kube_specs, runs

PYTHON_IMAGE = os.environ.get("PENSTOCK_TEST_PYTHON_IMAGE", "docker.io/library/python:3.11")
"""One that has the SDK of this Python, so that no component has to install it."""
POLICY = {"workers": "namespace", "workersDefault": "off", "workersIdleSeconds": "30"}
COLD, RUN, WARM = "cold", "workers of the run", "warm workers of the namespace"
_SHARED = {COLD: "off", RUN: "run", WARM: "namespace"}
KINDS = ("command", "component")
LATENCY_CHAIN = 20
_FOR_EVER = 7200.0
_AT_ONCE = '{"seconds": 0}'
_OFTEN, _SELDOM = 0.01, 0.05
"""Seconds between two polls of a run, in its first second and later."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds`: after so long nothing further is begun."""

    kinds: Sequence[str] = KINDS
    loops: Sequence[int] = (20, 100)
    rounds: int = 3
    seconds: float = _FOR_EVER


SMALL = Plan(loops=(20,), rounds=1)


@dataclass(slots=True)
class _Case:
    """`steps` Pods one after another of `width` at a time; of `LATENCY_CHAIN` there is no bare one."""

    name: str
    spec: Mapping[str, Any]
    steps: int = 1
    width: int = 1
    bare: bool = True
    seconds: dict[str, list[float]] = field(default_factory=dict)
    made: dict[str, list[int]] = field(default_factory=dict)
    writes: dict[str, list[float]] = field(default_factory=dict)
    steps_millis: dict[str, list[float]] = field(default_factory=dict)
    pauses_millis: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """A Penstock and what is beside it. `metrics` is the URL of the executor's."""

    cluster: Cluster
    namespace: str
    client: Client
    metrics: str
    env: Mapping[str, str] = field(default_factory=dict)


def measure(plan: Plan = Plan(), *, simulated: bool = False) -> list[Row]:  # noqa: B008 - nothing changes it
    """No rows, and a line that says so, where there is no cluster."""
    if not simulated:
        try:
            load_cluster()
        except KubeConfigError as error:
            Console().print(f"workers: not measured, {error}")
            return []
    world = _simulated if simulated else _real
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, world(Path(name)) as place:
        return place.cluster.wait(_Bench(place, plan).run())


@contextmanager
def _real(directory: Path) -> Iterator[_Place]:
    port = free_port()
    with Cluster() as cluster, cluster.namespace("penstock-workers") as namespace:
        allow_workers(cluster, namespace, POLICY)
        settings = {"PENSTOCK_EXECUTOR_HTTP": f"127.0.0.1:{port}"}
        with (
            kube_penstock(cluster, directory, settings=settings, namespace=namespace) as kube,
            Client(kube.up.grpc) as client,
        ):
            yield _Place(cluster, namespace, client, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def _simulated(directory: Path) -> Iterator[_Place]:
    port = free_port()
    with (
        sim_kube("--latency", "1", "--message", MESSAGE, "--namespace", NAMESPACE) as kube,
        Cluster(str(kube.kubeconfig)) as cluster,
    ):
        allow_workers(cluster, NAMESPACE, POLICY)
        settings = {"PENSTOCK_EXECUTOR_HTTP": f"127.0.0.1:{port}"}
        with (
            penstock(directory, str(kube.kubeconfig), NAMESPACE, settings) as up,
            Client(up.grpc) as client,
        ):
            # There an attempt of a worker takes as long as a Pod unless it says otherwise.
            yield _Place(cluster, NAMESPACE, client, f"http://127.0.0.1:{port}/metrics", {"SIM_OUTCOME": _AT_ONCE})


class _Bench:
    def __init__(self, place: _Place, plan: Plan) -> None:
        self._place = place
        self._plan = plan
        self._watch = PodWatch(place.cluster.client, place.namespace)
        self._console = Console(stderr=True)
        self._until = time.monotonic() + plan.seconds

    async def run(self) -> list[Row]:
        watching = asyncio.create_task(self._watch.run())
        try:
            # Creates the namespace's wrapper, pulls the image and opens connections, which only a first run pays for.
            await self._ran(kube_specs.container(["true"]), COLD)
            return [row for kind in self._plan.kinds for row in await self._kind(kind)]
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    @property
    def _over(self) -> bool:
        return time.monotonic() > self._until

    async def _kind(self, kind: str) -> list[Row]:
        image = PYTHON_IMAGE if kind == "component" else kube_specs.IMAGE
        argv = _component() if kind == "component" else ["true"]
        cases = self._cases(argv, image)
        for case in cases:
            for _ in range(self._plan.rounds):
                await self._bare(case, argv, image)
                await self._measured(case, COLD)
                await self._measured(case, RUN)
        for case in cases:
            if not self._over:
                # Has its workers made.
                await self._ran(case.spec, WARM)
            for _ in range(self._plan.rounds):
                await self._measured(case, WARM, stays=True)
        if not self._over:
            await self._watch.quiet()
        return [row for case in cases for row in _rows(f"{kind}, {case.name}", case)]

    def _cases(self, argv: Sequence[str], image: str) -> list[_Case]:
        def chain(length: int) -> Mapping[str, Any]:
            return self._spec(kube_specs.chain({f"t{at:02}": argv for at in range(length)}, image=image))

        loops = [
            _Case(f"loop of {size}", self._spec(kube_specs.loop(size, image=image, command=argv)), width=size)
            for size in self._plan.loops
        ]
        return [
            _Case("one task", chain(1)),
            _Case("chain of 3", chain(3), steps=3),
            _Case(f"chain of {LATENCY_CHAIN}", chain(LATENCY_CHAIN), steps=LATENCY_CHAIN, bare=False),
            *loops,
        ]

    def _spec(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        env = [{"name": name, "value": value} for name, value in self._place.env.items()]
        for executor in spec["pipeline_spec"]["deploymentSpec"]["executors"].values():
            executor["container"]["env"] = env
        return spec

    async def _bare(self, case: _Case, argv: Sequence[str], image: str) -> None:
        if self._over or not case.bare:
            return
        made = partial(_bare_pod, command=_resolved(argv), image=image)
        started = time.perf_counter()
        for _ in range(case.steps):
            await self._watch.bare(case.width, made=made)
        self._has_taken(case, "bare", time.perf_counter() - started)
        await self._watch.quiet()

    async def _measured(self, case: _Case, way: str, *, stays: bool = False) -> None:
        """`stays` is whether its Pods do."""
        if self._over:
            return
        made, before = self._watch.created, writes(self._place.metrics)
        seconds, run_id = await self._ran(case.spec, way)
        if not stays:
            await self._watch.quiet()
        self._has_taken(case, way, seconds)
        case.made.setdefault(way, []).append(self._watch.created - made)
        case.writes.setdefault(way, []).append(writes(self._place.metrics) - before)
        if case.steps == LATENCY_CHAIN:
            spans = _spans(self._place.client, run_id)
            steps, pauses = case.steps_millis.setdefault(way, []), case.pauses_millis.setdefault(way, [])
            steps += [after[1] - before[1] for before, after in pairwise(spans)]
            pauses += [after[0] - before[1] for before, after in pairwise(spans)]

    def _has_taken(self, case: _Case, way: str, seconds: float) -> None:
        case.seconds.setdefault(way, []).append(seconds)
        self._console.print(f"{case.name}, {way}: {seconds:.2f} s")

    async def _ran(self, spec: Mapping[str, Any], way: str) -> tuple[float, str]:
        """Seconds from the request until the client sees the end of the run, and its id."""
        return await asyncio.to_thread(_to_the_end, self._place.client, spec, _SHARED[way])


def _to_the_end(client: Client, spec: Mapping[str, Any], workers: str) -> tuple[float, str]:
    started = time.perf_counter()
    run_id = runs.start(client, spec, workers=workers)
    while runs.unfinished(client):
        time.sleep(_OFTEN if time.perf_counter() - started < 1 else _SELDOM)
    seconds = time.perf_counter() - started
    run = runs.get(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    return seconds, run_id


def _spans(client: Client, run_id: str) -> list[tuple[int, int]]:
    """When each task of a chain began and ended, in milliseconds, in the order in which they ran."""
    tasks = (one for one in runs.tasks(client, run_id).values() if one.kind == "container")
    return sorted((one.started_at.ToMilliseconds(), one.finished_at.ToMilliseconds()) for one in tasks)


def _component() -> list[str]:
    """Command and arguments of a lightweight component, as the SDK compiles it."""
    # A slow import of its own, and no other part of the benchmark needs it.
    from google.protobuf import json_format

    with warnings.catch_warnings():
        # Of the SDK, of images that are not used here.
        warnings.simplefilter("ignore")
        from tools.bench.pipelines import hello

    (executor,) = json_format.MessageToDict(hello.pipeline_spec)["deploymentSpec"]["executors"].values()
    return [*executor["container"]["command"], *executor["container"]["args"]]


def _resolved(argv: Sequence[str]) -> list[str]:
    """As a Pod that nobody resolves it for needs it."""
    given = '{"inputs": {}, "outputs": {"outputFile": "/tmp/outputs/metadata.json"}}'
    return [given if word == "{{$}}" else word for word in argv]


def _bare_pod(name: str, *, command: Sequence[str], image: str) -> dict[str, Any]:
    return bare_pod(name, {}, command, image)


def _rows(label: str, case: _Case) -> Iterator[Row]:
    bare = statistics.median(case.seconds["bare"]) if "bare" in case.seconds else None
    if bare is not None:
        yield Row(f"{label}, as bare Pods", bare, "s")
    for way in _SHARED:
        if way not in case.seconds:
            continue
        seconds = statistics.median(case.seconds[way])
        yield Row(f"{label}, {way}", seconds, "s")
        if bare is not None:
            yield Row(f"{label}, {way}: ratio to bare Pods", seconds / bare, "x")
        made, pods = max(case.made[way]), case.steps * case.width
        if way == COLD:
            yield Row(f"{label}, {way}: Pods", made, "", f"= {pods}", set(case.made[way]) == {pods})
        else:
            yield at_most(f"{label}, {way}: Pods", made, "", min(pods, NO_WORKERS.most))
        yield Row(f"{label}, {way}: writes to the API server", statistics.median(case.writes[way]), "")
        if way in case.steps_millis:
            pauses = sorted(case.pauses_millis[way])
            last = pauses[min(len(pauses) - 1, int(len(pauses) * 0.99))]
            yield Row(
                f"{label}, {way}: a task's end to the next one's", statistics.median(case.steps_millis[way]), "ms"
            )
            yield Row(f"{label}, {way}: a task's end to the next one's start, p50", statistics.median(pauses), "ms")
            yield Row(f"{label}, {way}: a task's end to the next one's start, p99", last, "ms")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--small", is_flag=True, help="A loop of 20 only, and one round.")
@click.option("--simulated", is_flag=True, help="On the simulated cluster: what is Penstock's own.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, default=KINDS, help="Only these.")
@click.option("--loops", default="", help="Sizes of loops, such as 20,100.")
@click.option("--seconds", default=_FOR_EVER, help="After so long nothing further is begun.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/bench-workers.json"), show_default=True)
def main(small: bool, simulated: bool, kinds: tuple[str, ...], loops: str, seconds: float, report: Path) -> None:
    usual = SMALL if small else Plan()
    sizes = tuple(int(part) for part in loops.split(",") if part.strip())
    plan = Plan(kinds, sizes or usual.loops, usual.rounds, seconds)
    with Console().status("measuring workers"):
        rows = measure(plan, simulated=simulated)
    show(rows, report)


if __name__ == "__main__":
    main()
