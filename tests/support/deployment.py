"""Penstock inside a cluster, as deploy/README.md says to put it there.

Invariants: what is applied is an overlay of deploy/kustomize with another image name and what a reader adds to it; the
namespaces are the manifests' own, so there is one deployment at a time and a cluster that has one already is left
alone; all of it is gone when the block ends. The machine of the tests reaches Services, so it is a node of the cluster.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.cluster import Cluster
from tools.manifests import Applier, Object, render

log = logging.getLogger(__name__)
_KUSTOMIZE = Path(__file__).resolve().parents[2] / "deploy" / "kustomize"
_IMAGE = "docker.io/penstock/penstock"
NAMESPACE = "penstock"
_EXECUTOR = {"kind": "Deployment", "name": "penstock-executor"}
_AGENT_IMAGE = {
    "source": {**_EXECUTOR, "fieldPath": "spec.template.spec.containers.[name=executor].image"},
    "targets": [
        {
            "select": _EXECUTOR,
            "fieldPaths": ["spec.template.spec.containers.[name=executor].env.[name=PENSTOCK_AGENT_IMAGE].value"],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Deployed:
    """`http` is a URL, `grpc` HOST:PORT."""

    cluster: Cluster
    http: str
    grpc: str

    def pods(self, component: str) -> list[Mapping[str, Any]]:
        """Of `server` or `executor`."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        return self.cluster.items(path, f"app.kubernetes.io/component={component},app.kubernetes.io/part-of=penstock")

    def replace_pods(self, component: str, *, grace_seconds: int | None = None) -> None:
        """Deletes the Pods and returns when as many others are ready. `grace_seconds` 0 kills."""
        old = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in self.pods(component)}
        for name in old.values():
            self.cluster.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", grace_seconds)
        self.cluster.until(
            lambda: self.pods(component),
            lambda pods: old.keys().isdisjoint(pod["metadata"]["uid"] for pod in pods),
        )
        self.wait_ready()

    def wait_ready(self, timeout: float = 180.0) -> None:
        """Raises AssertionError with what the Pods and events say."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
        try:
            self.cluster.until(lambda: self.cluster.items(path), lambda all_: all(map(_available, all_)), timeout)
        except AssertionError as error:
            raise AssertionError(f"not ready: {self._state()}") from error

    def trouble(self, component: str) -> str:
        """What each of its Pods said lately that is more than information."""

        async def read(pod: str) -> bytes:
            pieces = self.cluster.client.log(NAMESPACE, pod, component, tail_lines=1000)
            return b"".join([piece async for piece in pieces])

        names = [str(pod["metadata"]["name"]) for pod in self.pods(component)]
        lines = [f"{name}: {line}" for name in names for line in self.cluster.wait(read(name)).decode().splitlines()]
        return "\n".join(line for line in lines if '"level": "INFO"' not in line)

    def _state(self) -> str:
        pods = self.cluster.pods(NAMESPACE)
        statuses = {pod["metadata"]["name"]: pod["status"].get("containerStatuses") for pod in pods}
        events = self.cluster.items(f"/api/v1/namespaces/{NAMESPACE}/events")
        return yaml.safe_dump(
            {"pods": statuses, "events": [f"{one['reason']}: {one.get('message')}" for one in events]}
        )


@contextmanager
def deployed(
    cluster: Cluster,
    directory: Path,
    overlay: str,
    image: str,
    *,
    additions: Sequence[Object] = (),
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Deployed]:
    """`additions` are objects applied besides, `settings` further fields of the kustomization in `directory`."""
    name, _, tag = image.rpartition(":")
    directory.mkdir(exist_ok=True)
    (directory / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [os.path.relpath(_KUSTOMIZE / "overlays" / overlay, directory.resolve())],
                "images": [{"name": _IMAGE, "newName": name, "newTag": tag}],
                "replacements": [_AGENT_IMAGE],
                **(settings or {}),
            }
        )
    )
    documents = [*render(directory), *additions]
    namespaces = [one for one in documents if one["kind"] == "Namespace"]
    for one in namespaces:
        if cluster.get(f"/api/v1/namespaces/{one['metadata']['name']}") is not None:
            raise AssertionError(f"the cluster has a namespace {one['metadata']['name']} already")
    applier = Applier()
    try:
        applier.apply(documents)
        service = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/services/penstock-server")
        assert service is not None
        address = service["spec"]["clusterIP"]
        made = Deployed(cluster, f"http://{address}:8888", f"{address}:8887")
        made.wait_ready()
        try:
            yield made
        except BaseException:
            for component in ("server", "executor"):
                log.error("%s", made.trouble(component))
            raise
    finally:
        applier.delete([one for one in documents if "namespace" not in one["metadata"]])


def _available(deployment: Mapping[str, Any]) -> bool:
    """All replicas are of the newest template and ready, and no other is left."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
    return seen and counts == {wanted}
