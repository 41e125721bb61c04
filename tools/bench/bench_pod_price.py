"""What a Pod costs a real API server, and which part of its document costs it: CPU of kube-apiserver and etcd.

Fake nodes (KWOK) take the Pods, so nothing but the control plane works: a create, a binding, two changes of the status,
the events, a delete, and one watch. Every shape of a Pod has its turn in every round, so that what else runs on the
machine falls on all of them alike; figures are medians of the rounds. By CPU, since wall time is the whole machine's.

Invariant: the shapes are made from the product's own Pod by leaving out one thing each.
"""

from __future__ import annotations

import asyncio
import copy
import json
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_kube.client import KubeClient

from tools.bench.control_plane import control_plane, cpu_seconds
from tools.bench.pod_watch import PodWatch, bare_pod
from tools.bench.result import Row, at_most
from tools.cluster import Cluster
from tools.kwok import kwok
from tools.testing import kube_specs
from tools.testing.pod_settings import POLICY, SETTINGS, Store

ROUNDS = 5
PODS = 100
WANTED = 1.15
_RUN = "4d3a1f0e-0000-4000-8000-000000000001"
_ROOT = f"s3://bucket/root/pipeline/{_RUN}/task/dec696ba-72ad-5f00-9487-0c77a2d3440c"

Json = dict[str, Any]
Shape = Callable[[str], Json]


def measure() -> list[Row]:
    with Cluster() as cluster, kwok(cluster) as nodes, cluster.namespace("penstock-price", {}) as namespace:
        return cluster.wait(_measure(cluster.client, namespace, nodes.pod_spec))


async def _measure(client: KubeClient, namespace: str, spec: Mapping[str, Any]) -> list[Row]:
    shapes = _shapes(namespace, spec)
    watch = PodWatch(client, namespace, spec)
    watching = asyncio.create_task(watch.run())
    servers = {name: _process(name) for name in ("kube-apiserver", "etcd")}
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in shapes}
    try:
        for number in range(ROUNDS + 1):
            for name, shape in shapes.items():
                before = {server: cpu_seconds(process) for server, process in servers.items()}
                await watch.bare(PODS, as_they_end=True, made=shape)
                await watch.quiet()
                cost = {server: (cpu_seconds(one) - before[server]) * 1000 / PODS for server, one in servers.items()}
                if number:  # the first round warms everything up
                    spent[name].append(cost)
    finally:
        watching.cancel()
    rows: list[Row] = []
    for name, shape in shapes.items():
        rows += [
            Row(f"{name}: {server}", statistics.median(one[server] for one in spent[name]), "ms of CPU/Pod")
            for server in servers
        ]
        ratios = [
            one["kube-apiserver"] / bare["kube-apiserver"] for one, bare in zip(spent[name], spent["bare"], strict=True)
        ]
        ratio = statistics.median(ratios)
        label = f"{name}: API server's CPU, ratio to a bare Pod's"
        rows.append(at_most(label, ratio, "x", WANTED) if name == "ours" else Row(label, ratio, "x"))
        rows.append(Row(f"{name}: document", len(json.dumps(shape("name"), separators=(",", ":"))), "bytes"))
    return rows


def _shapes(namespace: str, spec: Mapping[str, Any]) -> dict[str, Shape]:
    def ours(name: str) -> Json:
        pod = make_pod(_task(namespace, name), SETTINGS, POLICY, Store())
        pod["spec"].update(copy.deepcopy(dict(spec)))
        return pod

    def without(change: Callable[[Json], None]) -> Shape:
        def shape(name: str) -> Json:
            pod = ours(name)
            change(pod)
            return pod

        return shape

    return {
        "bare": lambda name: bare_pod(name, spec),
        "ours": ours,
        "ours without emptyDirs": without(lambda pod: _unmounted(pod, "penstock-at-")),
        "ours without the wrapper's mount": without(lambda pod: _unmounted(pod, "penstock-wrapper")),
        "ours without mounts": without(lambda pod: _unmounted(pod, "penstock-")),
        "ours without variables": without(_no_variables),
        "ours without labels and annotations": without(_no_marks),
    }


def _unmounted(pod: Json, prefix: str) -> None:
    spec = pod["spec"]
    spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith(prefix)]
    for container in spec["containers"]:
        container["volumeMounts"] = [one for one in container["volumeMounts"] if not one["name"].startswith(prefix)]


def _no_variables(pod: Json) -> None:
    for container in pod["spec"]["containers"]:
        container.pop("env", None)


def _no_marks(pod: Json) -> None:
    del pod["metadata"]["labels"], pod["metadata"]["annotations"]


def _task(namespace: str, pod_name: str) -> TaskLaunch:
    return TaskLaunch(
        key=AttemptKey(_RUN, "for-loop-1[3]/task", 1),
        task_name="task",
        pipeline_name="pipeline",
        image=kube_specs.IMAGE,
        command=("true",),
        args=(),
        env=(),
        task_root=_ROOT,
        inputs={},
        defaults={},
        input_artifacts={},
        input_artifact_definitions={},
        output_parameters={},
        output_artifacts={},
        kubernetes={"imagePullPolicy": "IfNotPresent"},
        namespace=namespace,
        run_display_name="My run",
        run_resource_name="my-run",
        pod_name=pod_name,
    )


def _process(name: str) -> psutil.Process:
    """Raises RuntimeError when the cluster is not on this machine."""
    found = control_plane(name)
    if found is None:
        raise RuntimeError(f"no {name} runs on this machine")
    return found
