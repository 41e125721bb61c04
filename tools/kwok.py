"""Fake nodes on a real cluster: Pods that are bound to them run and succeed without a kubelet (KWOK).

For measuring what an API server takes when nothing else is in the way. Usage: `with kwok(cluster) as nodes:` and Pods
whose spec has `nodes.pod_spec` in it; `python -m tools.kwok` measures a plain client's rate. Every container has
written one line, which the API server asks the fake kubelet for, as it does for real ones.

Invariants: KWOK manages only nodes that carry this instance's label; a taint keeps everybody else's Pods away from
them; with the block end the nodes, the Pods on them and their leases. Names begin so that a real node sorts before
them.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from penstock_kube.client import KubeClient
from penstock_kube.config import load_cluster
from penstock_kube.errors import NotFoundError
from penstock_kube.reflector import EventKind, Reflector

from tools.cluster import Cluster
from tools.go_programs import go_program
from tools.ports import free_port
from tools.serving_certificate import serving_certificate

KWOK = "sigs.k8s.io/kwok/cmd/kwok@v0.7.0"
LABEL = "penstock.dev/kwok"
_TAINT = {"key": LABEL, "operator": "Exists", "effect": "NoSchedule"}
_READY_SECONDS = 60.0
_ABANDONED_SECONDS = 300.0
_PARALLEL = 32


@dataclass(frozen=True)
class FakeNodes:
    names: tuple[str, ...]
    pod_spec: Mapping[str, Any]
    """Merged into a Pod's spec, lets the scheduler choose among these nodes."""

    def bound(self, number: int = 0) -> Mapping[str, Any]:
        """As `pod_spec`, but the node is chosen: the scheduler and its limits have no part in it."""
        return {**self.pod_spec, "nodeName": self.names[number % len(self.names)]}


@contextmanager
def kwok(cluster: Cluster, *, nodes: int = 4, seconds: float = 0.0, message: str = "") -> Iterator[FakeNodes]:
    """Fake nodes whose Pods run for `seconds` and succeed. `message` is what each `main` leaves at its end."""
    program = go_program(KWOK)
    _remove(cluster.kubeconfig, tuple(_abandoned(cluster)))
    token = uuid.uuid4().hex[:8]
    made = FakeNodes(
        tuple(f"penstock-kwok-{token}-{number}" for number in range(nodes)),
        {"nodeSelector": {LABEL: token}, "tolerations": [_TAINT]},
    )
    with tempfile.TemporaryDirectory(prefix="penstock-kwok-") as directory:
        written, address, port = Path(directory) / "written", cluster.node_address(), free_port(cluster.node_address())
        written.write_text("2026-01-01T00:00:00.000000000Z stdout F a line\n")
        certificate, key = serving_certificate(cluster, address, Path(directory))
        options = {
            "podPlayStageParallelism": _PARALLEL,
            "nodeLeaseDurationSeconds": 40,
            "serverAddress": f"{address}:{port}",
            "nodeIP": address,
            "nodePort": port,
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
        }
        configuration = Path(directory) / "kwok.yaml"
        configuration.write_text(yaml.safe_dump_all(_configuration(options, written, seconds, message)))
        log = Path(directory) / "log"
        command = [str(program), f"--kubeconfig={cluster.kubeconfig}", f"--config={configuration}"]
        command.append(f"--manage-nodes-with-label-selector={LABEL}={token}")
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                for name in made.names:
                    cluster.create("/api/v1/nodes", _node(name, token))
                _until_ready(cluster, token, process, log)
                yield made
            finally:
                _remove(cluster.kubeconfig, made.names)
                process.terminate()


def _until_ready(cluster: Cluster, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not all(_is_ready(node) for node in cluster.items("/api/v1/nodes", f"{LABEL}={token}")):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"kwok: the nodes did not get ready: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _abandoned(cluster: Cluster) -> Iterator[str]:
    """Nodes whose KWOK was killed: it no longer renews their leases. Those of others that just begin are young."""
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=_ABANDONED_SECONDS)
    for node in cluster.items("/api/v1/nodes", LABEL):
        made = datetime.datetime.fromisoformat(node["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
        if made < before and not _is_ready(node):
            yield node["metadata"]["name"]


def _remove(kubeconfig: str, names: tuple[str, ...]) -> None:
    """With a client of its own: what ended the block may have left the caller's in the middle of a call."""
    with Cluster(kubeconfig) as cluster:
        cluster.wait(_removed(cluster.client, names))


async def _removed(client: KubeClient, names: tuple[str, ...]) -> None:
    async def delete(path: str) -> None:
        with suppress(NotFoundError):
            await client.delete(path, grace_seconds=0)

    for name in names:
        pods = (await client.get("/api/v1/pods", fieldSelector=f"spec.nodeName={name}"))["items"]
        found = ((pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods)
        await asyncio.gather(*(delete(f"/api/v1/namespaces/{space}/pods/{pod}") for space, pod in found))
        await delete(f"/api/v1/nodes/{name}")
        await delete(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}")


def _node(name: str, token: str) -> dict[str, Any]:
    room = {"cpu": "1k", "memory": "1Ti", "pods": "1M", "ephemeral-storage": "1Ti"}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "labels": {
                LABEL: token,
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": [{"key": LABEL, "value": token, "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


def _configuration(options: Mapping[str, Any], written: Path, seconds: float, message: str) -> list[dict[str, Any]]:
    if "{{" in message:
        raise ValueError("the message would be taken for a template")
    pod = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    run = {"durationMilliseconds": round(seconds * 1000), "jitterDurationMilliseconds": round(seconds * 1500)}
    return [
        {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": dict(options)},
        {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "written"},
            "spec": {"logs": [{"logsFile": str(written)}]},
        },
        _stage("node-ready", "Node", [_NODE_NOT_READY], {"statusTemplate": _NODE_STATUS}),
        _stage("pod-runs", "Pod", [pod, _in(".status.phase", "Pending")], {"statusTemplate": _RUNNING}),
        _stage(
            "pod-ends",
            "Pod",
            [pod, _in(".status.phase", "Running")],
            {"statusTemplate": _ENDED.replace("MESSAGE", json.dumps(message))},
            delay=run if seconds else None,
        ),
        _stage(
            "pod-goes",
            "Pod",
            [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}],
            {"finalizers": {"empty": True}, "delete": True},
        ),
    ]


def _stage(
    name: str, kind: str, when: list[dict[str, Any]], then: dict[str, Any], delay: dict[str, int] | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": when},
        "next": then,
    }
    if delay is not None:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def _in(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}


_NODE_NOT_READY = {
    "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
    "operator": "NotIn",
    "values": ["True"],
}
_NODE_STATUS = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- type: InternalIP
  address: {{ NodeIP | Quote }}
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
phase: Running
"""
_RUNNING = """
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" "PodScheduled" }}
- type: {{ $type }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
"""
_ENDED = """
{{ $now := Now }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      message: {{ if eq .name "main" }}MESSAGE{{ else }}""{{ end }}
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
"""


async def bare_rate(
    client: KubeClient, namespace: str, spec: Mapping[str, Any], *, pods: int, parallel: int = 32
) -> dict[str, float]:
    """A plain client's figures: Pods created, seen to succeed and deleted, so many calls at a time. Per second."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    ended: asyncio.Queue[str] = asyncio.Queue()
    gone: set[str] = set()
    over = asyncio.Event()
    told: set[str] = set()
    numbers = iter(range(pods))

    def take(kind: EventKind, pod: tuple[str, str]) -> None:
        name, phase = pod
        if kind is EventKind.DELETED:
            gone.add(name)
            if len(gone) == pods:
                over.set()
        elif phase == "Succeeded" and name not in told:
            told.add(name)
            ended.put_nowait(name)

    async def create() -> None:
        for number in numbers:
            container = {"name": "main", "image": "none", "command": ["true"]}
            own = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
            await client.create(path, {"metadata": {"name": f"bare-{number}"}, "spec": {**own, **spec}})

    async def delete() -> None:
        while True:
            with suppress(NotFoundError):
                await client.delete(f"{path}/{await ended.get()}")

    reflector = Reflector(client, path, trim=_name_and_phase, on_event=take)
    helpers: list[asyncio.Task[Any]] = [asyncio.create_task(reflector.run())]
    try:
        await reflector.synced()
        begun, cpu = time.perf_counter(), time.process_time()
        helpers += [asyncio.create_task(delete()) for _ in range(parallel)]
        await asyncio.gather(*(create() for _ in range(parallel)))
        created = time.perf_counter() - begun
        helpers.append(asyncio.create_task(over.wait()))
        # None of the others ends unless it fails.
        done, _ = await asyncio.wait(helpers, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        whole = time.perf_counter() - begun
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
    return {
        "creates": pods / created,
        "creates_and_deletes": pods / whole,
        "client_cpu_ms_per_pod": (time.process_time() - cpu) / pods * 1000,
    }


def _name_and_phase(pod: dict[str, Any]) -> tuple[str, str]:
    return pod["metadata"]["name"], pod["status"].get("phase", "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools.kwok", description="How many bare Pods a second the API server takes.")
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--scheduled", action="store_true", help="let the scheduler place the Pods")
    arguments = parser.parse_args()
    # As an exception, so that nothing is left on the cluster.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Cluster() as cluster, kwok(cluster) as nodes, cluster.namespace("kwok", {}) as namespace:
        spec = nodes.pod_spec if arguments.scheduled else nodes.bound()
        try:
            figures = asyncio.run(_measured(cluster.kubeconfig, namespace, spec, arguments.pods, arguments.parallel))
        except asyncio.CancelledError:
            sys.exit(143)
        print(json.dumps(figures, indent=1))


async def _measured(
    kubeconfig: str, namespace: str, spec: Mapping[str, Any], pods: int, parallel: int
) -> dict[str, float]:
    task = asyncio.current_task()
    assert task is not None
    # An exception out of a signal's handler would leave the loop in the middle of something.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with KubeClient(load_cluster(kubeconfig=kubeconfig)) as client:
        return await bare_rate(client, namespace, spec, pods=pods, parallel=parallel)


if __name__ == "__main__":
    main()
