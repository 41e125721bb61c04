"""Pipelines on a cluster beside bare Pods of the same image on the same cluster, in one run.

Why ratios: most of the time is the cluster's own (the kubelet syncs its Pods once a second), not Penstock's. A bare Pod
is one as of `kubectl run`; a chain of three is three of them, each created when the previous one has ended; a loop is
as many at once, deleted at the end, and in another measurement deleted one by one as they end, like Penstock does.
Medians of several rounds, alternating between Penstock and bare Pods.

Invariant: counts come from the API server: Pods from a watch, writes from the executor's metrics.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.executor_metrics import writes
from tools.bench.pod_watch import PodWatch
from tools.bench.result import Row, at_least, at_most
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock
from tools.ports import free_port
from tools.testing import kube_specs, runs

ROUNDS = 5
LOOPS = (20, 100)
LATENCY_CHAIN = 15
# Seconds between two polls of a run, in its first second and later.
_OFTEN, _SELDOM = 0.01, 0.05


@dataclass(slots=True)
class _Case:
    """`pods`: the number of container tasks of the pipeline; `bare` runs as many Pods to their end, or is None."""

    name: str
    spec: Mapping[str, Any]
    pods: int
    rounds: int
    bare: Callable[[PodWatch], Awaitable[None]] | None
    removing: Callable[[PodWatch], Awaitable[None]] | None = None
    seconds: list[float] = field(default_factory=list)
    bare_seconds: list[float] = field(default_factory=list)
    removing_seconds: list[float] = field(default_factory=list)
    made: list[int] = field(default_factory=list)


def measure() -> list[Row]:
    port = free_port()
    settings = {"PENSTOCK_EXECUTOR_HTTP": f"127.0.0.1:{port}"}
    with (
        Cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as name,
        kube_penstock(cluster, Path(name), settings=settings) as kube,
        Client(kube.up.grpc) as client,
    ):
        return cluster.wait(_measure(kube, client, f"http://127.0.0.1:{port}/metrics"))


async def _measure(kube: KubePenstock, client: Client, metrics: str) -> list[Row]:
    watch = PodWatch(kube.cluster.client, kube.namespace)
    watching = asyncio.create_task(watch.run())
    try:
        # Creates the namespace's wrapper, pulls the image and opens connections, which only a first run pays for.
        await _run(client, kube_specs.container(["true"]))
        before = writes(metrics)
        made_before = watch.created
        rows: list[Row] = []
        for case in _cases():
            rows += await _case(case, watch, client)
        bare = sum((len(case.bare_seconds) + len(case.removing_seconds)) * case.pods for case in _ALL)
        tasks = watch.created - made_before - bare
        rows.append(at_most("our writes to the API server for a task", (writes(metrics) - before) / tasks, "", 3))
        rows += await _latency(watch, client)
        return rows
    finally:
        watching.cancel()


_ALL: list[_Case] = []


def _cases() -> list[_Case]:
    cached = kube_specs.chain(
        {name: ["sh", "-c", f": {name}"] for name in "abc"}, name=f"cached-{uuid.uuid4().hex[:6]}", cached=True
    )
    found = [
        _Case("one task", kube_specs.container(["true"]), 1, ROUNDS, lambda watch: watch.bare(1)),
        _Case("chain of 3", kube_specs.chain({name: ["true"] for name in "abc"}), 3, ROUNDS, _bare_chain),
        _Case("If/Else, one branch taken", kube_specs.if_else(), 1, ROUNDS, lambda watch: watch.bare(1)),
        *(
            _Case(
                f"ParallelFor of {size}",
                kube_specs.loop(size),
                size,
                3,
                functools.partial(PodWatch.bare, count=size),
                functools.partial(PodWatch.bare, count=size, as_they_end=True),
            )
            for size in LOOPS
        ),
        _Case("chain of 3, first time", cached, 3, 1, None),
        _Case("chain of 3, all cached", cached, 0, ROUNDS, None),
    ]
    _ALL[:] = found
    return found


async def _case(case: _Case, watch: PodWatch, client: Client) -> list[Row]:
    for _ in range(case.rounds):
        before = watch.created
        case.seconds.append(await _run(client, case.spec))
        case.made.append(watch.created - before)
        await watch.quiet()
        for bare, taken in ((case.bare, case.bare_seconds), (case.removing, case.removing_seconds)):
            if bare is not None:
                started = time.perf_counter()
                await bare(watch)
                taken.append(time.perf_counter() - started)
                await watch.quiet()
    seconds = statistics.median(case.seconds)
    rows = [Row(f"{case.name}: seconds", seconds, "s")]
    if case.bare_seconds:
        bare_seconds = statistics.median(case.bare_seconds)
        rows.append(Row(f"{case.name}: as many bare Pods", bare_seconds, "s"))
        rows.append(at_most(f"{case.name}: ratio", seconds / bare_seconds, "x", 1.10))
    if case.removing_seconds:
        removing = statistics.median(case.removing_seconds)
        rows.append(Row(f"{case.name}: as many bare Pods, removed as they end", removing, "s"))
        rows.append(Row(f"{case.name}: ratio to those", seconds / removing, "x"))
    made = max(case.made)
    holds = set(case.made) == {case.pods}
    rows.append(Row(f"{case.name}: Pods created", made, "", f"= {case.pods}", holds))
    if case.name.endswith("all cached"):
        rows[0] = at_most(rows[0].name, seconds, "s", 0.3)
    return rows


async def _latency(watch: PodWatch, client: Client) -> list[Row]:
    """Seconds between a watch showing the end of a task and the watch showing the next Pod."""
    names = [f"t{number:02}" for number in range(LATENCY_CHAIN)]
    watch.times.clear()
    await _run(client, kube_specs.chain({name: ["true"] for name in names}))
    gaps = []
    ended = 0.0
    for kind, at in watch.times:
        if kind == "ended":
            ended = at
        elif ended:
            gaps.append((at - ended) * 1000)
            ended = 0.0
    gaps.sort()
    return [
        at_least("task end seen -> next Pod seen: samples", len(gaps), "", LATENCY_CHAIN - 1),
        Row("task end seen -> next Pod seen: median", statistics.median(gaps), "ms"),
        at_most("task end seen -> next Pod seen: p99", gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))], "ms", 100),
    ]


async def _bare_chain(watch: PodWatch) -> None:
    for _ in range(3):
        await watch.bare(1)


async def _run(client: Client, spec: Mapping[str, Any]) -> float:
    """Seconds from the request until the client sees the end of the run: by the clock that bare Pods are measured by.

    The API's own times are whole seconds. What is asked for in between makes a run look up to `_SELDOM` longer.
    """

    def to_the_end() -> float:
        started = time.perf_counter()
        run_id = runs.start(client, spec)
        # Seldom, and not for all tasks of the run: asking must not cost what is measured.
        while runs.unfinished(client):
            time.sleep(_OFTEN if time.perf_counter() - started < 1 else _SELDOM)
        seconds = time.perf_counter() - started
        run = runs.get(client, run_id)
        assert run.state == run_pb2.SUCCEEDED, run.error.message
        return seconds

    return await asyncio.to_thread(to_the_end)
