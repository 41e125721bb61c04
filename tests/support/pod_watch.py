"""Every Pod that a namespace ever had, seen by a watch of the test's own.

Why not look at what is there in the end: a Pod that was made twice is gone by then. Invariants: the watch asks the API
server itself, past any proxy that makes trouble, and goes on however often that server is away. What may have been
missed between two lists is counted (`gaps`), never hidden.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NamedTuple

from penstock_kube.client import KubeClient
from penstock_kube.config import load_cluster
from penstock_kube.errors import GoneError, KubeError


class Attempt(NamedTuple):
    run_id: str
    path: str
    number: int


NO_ATTEMPT = Attempt("", "", 0)


@dataclass(frozen=True, slots=True)
class SeenPod:
    """`attempt` is NO_ATTEMPT for a warm worker's."""

    name: str
    uid: str
    attempt: Attempt
    node: str = ""
    ended: bool = False
    gone: bool = False
    status: str = ""
    """Its last words, for whoever has to find out what happened."""


class PodWatch:
    """A context manager; it sees what is made within its block."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._seen: dict[str, SeenPod] = {}
        self._of_workers: dict[str, SeenPod] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._listed = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="pod-watch", daemon=True)
        self.gaps = 0

    def __enter__(self) -> PodWatch:
        self._thread.start()
        if not self._listed.wait(60):
            raise RuntimeError(f"{self._path} cannot be listed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(30)

    def pods(self) -> list[SeenPod]:
        """All that there ever were of one attempt each."""
        with self._lock:
            return list(self._seen.values())

    def workers(self) -> list[SeenPod]:
        """All that there ever were of warm workers."""
        with self._lock:
            return list(self._of_workers.values())

    def live(self) -> list[SeenPod]:
        """Those of one attempt with a program that may run."""
        return [pod for pod in self.pods() if not pod.gone and not pod.ended]

    def left(self) -> list[SeenPod]:
        return [pod for pod in (*self.pods(), *self.workers()) if not pod.gone]

    def twice(self) -> dict[str, int]:
        """Names and attempts that had more than one Pod, with how many."""
        counts = Counter(pod.name for pod in self.pods()) + Counter(str(pod.attempt) for pod in self.pods())
        return {what: number for what, number in counts.items() if number > 1}

    async def _work(self) -> None:
        client = KubeClient(load_cluster(kubeconfig=self._kubeconfig), program="test", deadline=5.0)
        async with client:
            watching = asyncio.create_task(self._follow(client))
            while not self._over.is_set():
                await asyncio.sleep(0.1)
                if watching.done():
                    watching.result()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _follow(self, client: KubeClient) -> None:
        position = ""
        while True:
            try:
                if not position:
                    position = await self._list(client)
                async with aclosing(client.watch(self._path, resource_version=position)) as events:
                    async for event in events:
                        position = str(event["object"]["metadata"]["resourceVersion"])
                        if event["type"] != "BOOKMARK":
                            self._put(event["object"], gone=event["type"] == "DELETED")
            except GoneError:
                position = ""
                self.gaps += 1
            except KubeError:
                await asyncio.sleep(0.1)

    async def _list(self, client: KubeClient) -> str:
        found = await client.list_all(self._path)
        for item in found.items:
            self._put(item, gone=False)
        there = {item["metadata"]["uid"] for item in found.items}
        with self._lock:
            for seen in (self._seen, self._of_workers):
                for uid, pod in seen.items():
                    if uid not in there:
                        seen[uid] = replace(pod, gone=True)
        self._listed.set()
        return found.resource_version

    def _put(self, pod: Mapping[str, Any], *, gone: bool) -> None:
        metadata = pod["metadata"]
        annotations, labels = metadata.get("annotations", {}), metadata.get("labels", {})
        of_worker = "penstock.dev/worker" in labels
        if "penstock.dev/attempt" in annotations:
            path, number = annotations["penstock.dev/path"], int(annotations["penstock.dev/attempt"])
            attempt = Attempt(labels["pipeline/runid"], path, number)
        elif of_worker:
            attempt = NO_ATTEMPT
        else:
            return
        ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        node = str(pod["spec"].get("nodeName", ""))
        seen = SeenPod(metadata["name"], metadata["uid"], attempt, node, ended, gone, _words(pod))
        with self._lock:
            (self._of_workers if of_worker else self._seen)[seen.uid] = seen


def _words(pod: Mapping[str, Any]) -> str:
    status, deleted = pod.get("status", {}), pod["metadata"].get("deletionTimestamp", "")
    words = [str(status.get(key)) for key in ("phase", "reason", "message") if status.get(key)]
    words += [f"deleted at {deleted}"] if deleted else []
    words += [f"{one['name']}: {json.dumps(one['state'])}" for one in status.get("containerStatuses", ())]
    return "; ".join(words)
