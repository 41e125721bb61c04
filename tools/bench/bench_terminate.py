"""A run of many Pods that is terminated, beside the removal of as many bare Pods on the same cluster, in one run.

Why the comparison: how fast a node stops its Pods depends on the kubelet and the container runtime; Penstock's part is
to request it and to notice it. The programs end at SIGTERM and use no processor while they run.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.pod_watch import PodWatch
from tools.bench.result import Row, at_most
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock
from tools.testing import kube_specs, runs

SIZES = (20, 190)
"""The larger is what a node with the usual bound of Pods takes besides the cluster's own."""
ROUNDS = 3
GRACE_SECONDS = 3
_COMMAND = ("sh", "-c", "trap 'exit 143' TERM; sleep 3600 & wait")


def measure() -> list[Row]:
    with (
        Cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as name,
        kube_penstock(cluster, Path(name)) as kube,
        Client(kube.up.grpc) as client,
    ):
        return cluster.wait(_measure(kube, client))


async def _measure(kube: KubePenstock, client: Client) -> list[Row]:
    watch = PodWatch(kube.cluster.client, kube.namespace)
    watching = asyncio.create_task(watch.run())
    try:
        return [row for size in SIZES for row in await _size(size, watch, client)]
    finally:
        watching.cancel()


async def _size(size: int, watch: PodWatch, client: Client) -> list[Row]:
    bare, ended, gone = [], [], []
    for _ in range(ROUNDS):
        names = await watch.standing(size, _COMMAND)
        started = time.perf_counter()
        await watch.removed(names, GRACE_SECONDS)
        bare.append(time.perf_counter() - started)
        run_id = await asyncio.to_thread(runs.start, client, kube_specs.loop(size, command=_COMMAND))
        await watch.running(size)
        started = time.perf_counter()
        quiet = asyncio.create_task(watch.quiet())
        await asyncio.to_thread(_terminated, client, run_id)
        ended.append(time.perf_counter() - started)
        await quiet
        gone.append(time.perf_counter() - started)
    of = f"{size} running Pods terminated"
    ratio = statistics.median(gone) / statistics.median(bare)
    return [
        Row(f"{of}: seconds to the end of the run", statistics.median(ended), "s"),
        Row(f"{of}: seconds until none is left", statistics.median(gone), "s"),
        Row(f"{of}: as many bare Pods removed", statistics.median(bare), "s"),
        at_most(f"{of}: ratio", ratio, "x", 1.10),
    ]


def _terminated(client: Client, run_id: str) -> None:
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    runs.finished(client, run_id, 600)
