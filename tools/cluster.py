"""Access to a Kubernetes cluster for tests and benchmarks: temporary namespaces, Pods, the node's address.

The methods block, because the callers are synchronous. Invariants: the cluster is that of KUBECONFIG; what a block
creates is deleted when it ends, also by an exception; nothing outside of these namespaces is changed.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from penstock_kube.client import KubeClient
from penstock_kube.config import load_cluster
from penstock_kube.errors import AlreadyExistsError, NotFoundError

_T = TypeVar("_T")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


class Cluster:
    """A context manager."""

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self.kubeconfig = kubeconfig or os.environ.get("KUBECONFIG", "")
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._client: KubeClient | None = None

    def __enter__(self) -> Cluster:
        cluster = load_cluster(kubeconfig=self.kubeconfig, context=self._context)
        self._client = self.wait(_made(lambda: KubeClient(cluster)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait(self.client.close())
        self._loop.close()

    @property
    def client(self) -> KubeClient:
        assert self._client is not None
        return self._client

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(work)

    @contextmanager
    def namespace(self, prefix: str, labels: Mapping[str, str] = RESTRICTED) -> Iterator[str]:
        """A namespace with a name of its own, in which Pods of default security are all that is let in."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.make_namespace(name, labels)
        try:
            yield name
        finally:
            self.delete(f"/api/v1/namespaces/{name}")

    def make_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        self.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels)}})
        # The controller creates it asynchronously, and no Pod is admitted before.
        self.until(lambda: self.get(f"/api/v1/namespaces/{name}/serviceaccounts/default"), lambda one: one is not None)
        self.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "pipeline-runner"}})

    def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What exists already is given back."""
        try:
            return self.wait(self.client.create(path, body))
        except AlreadyExistsError:
            return self.wait(self.client.get(f"{path}/{body['metadata']['name']}"))

    def get(self, path: str) -> Mapping[str, Any] | None:
        try:
            return self.wait(self.client.get(path))
        except NotFoundError:
            return None

    def items(self, path: str, selector: str = "") -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.wait(self.client.get(path, labelSelector=selector))["items"]
        return found

    def pods(self, namespace: str, run_id: str = "") -> list[Mapping[str, Any]]:
        selector = f"pipeline/runid={run_id}" if run_id else ""
        return self.items(f"/api/v1/namespaces/{namespace}/pods", selector)

    def delete(self, path: str, grace_seconds: int | None = None) -> None:
        try:
            self.wait(self.client.delete(path, grace_seconds=grace_seconds))
        except NotFoundError:
            return

    def node_address(self) -> str:
        """Where Pods reach what listens on the node, which for a cluster on this machine is this machine."""
        (node, *_) = self.items("/api/v1/nodes")
        addresses: dict[str, str] = {one["type"]: one["address"] for one in node["status"]["addresses"]}
        return addresses["InternalIP"]

    def until(self, look: Callable[[], _T], holds: Callable[[_T], bool], timeout: float = 60.0) -> _T:
        """Polls `look` until `holds` accepts its result, and returns that. Raises AssertionError on timeout."""
        end = time.monotonic() + timeout
        pause = 0.05
        while True:
            last = look()
            if holds(last):
                return last
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout:g} s; last seen: {last!r}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)


async def _made(make: Callable[[], _T]) -> _T:
    """Clients of aiohttp have to be created in their event loop."""
    return make()
