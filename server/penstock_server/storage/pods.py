"""Reads Pods, their events and running logs from the cluster.

Why in the server: it serves the Pod tabs of the web UI and the logs of running tasks; its RBAC rights are read-only.
The calls run on an event loop in a thread of its own, those of all logs that are followed too; the methods block, like
all storage, except `log`.

Invariants: if the cluster does not answer, UnavailableError is raised within seconds; of a log a bounded part is in
memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import KubeError, NotFoundError

from penstock_server.domain.log_parts import LogPart
from penstock_server.errors import UnavailableError
from penstock_server.storage.pod_logs import ClusterPodLog

_T = TypeVar("_T")
_SECONDS = 10.0
# Of the machines whose clocks times come from (docs/attempts.md).
_CLOCKS_DIFFER_SECONDS = 5 * 60
_WORKER_LABEL = "penstock.dev/worker"


class ClusterPods:
    """`default_namespace` is that of runs without one."""

    def __init__(self, cluster: Cluster, default_namespace: str) -> None:
        self._default = default_namespace
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pods", daemon=True)
        self._thread.start()
        self._client = self._wait(self._create_client(cluster))

    def close(self) -> None:
        """Ends all connections, and the logs that are followed over them."""
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def document(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The Pod as the API server has it, None when it is gone. Raises UnavailableError."""
        try:
            return self._wait(self._client.get(f"{self._path(namespace)}/pods/{name}"))
        except NotFoundError:
            return None
        except KubeError as error:
            raise UnavailableError(f"the cluster does not tell of the Pod {name}: {error}") from error

    def events(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Events of the Pod, the oldest first. Raises UnavailableError."""
        selector = f"involvedObject.kind=Pod,involvedObject.name={name}"
        try:
            event_list = self._wait(self._client.get(f"{self._path(namespace)}/events", fieldSelector=selector))
        except KubeError as error:
            raise UnavailableError(f"the cluster does not tell of the events of {name}: {error}") from error
        items: list[dict[str, Any]] = event_list.get("items") or []
        return sorted(items, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def log(self, namespace: str, part: LogPart, *, follow: bool, when_more: Callable[[], None]) -> ClusterPodLog:
        """The log of the user's container, as it comes; none of a Pod that is shared when `part` has no mark."""
        since = max(0, part.since // 1000 - _CLOCKS_DIFFER_SECONDS) if part.mark else 0
        pieces = self._client.log(namespace or self._default, part.pod, "main", follow=follow, since_seconds=since)
        if not part.mark:
            pieces = self._of_one(namespace, part.pod, pieces)
        return ClusterPodLog(self._loop, pieces, part.pod, when_more)

    async def _of_one(
        self, namespace: str, name: str, pieces: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The log of a Pod that one attempt has for itself. Raises NotFoundError when others write to it as well: whose
        lines are whose is not known, as when a server of an earlier release heard where the attempt runs.
        """
        async with aclosing(pieces):
            is_known = False
            async for piece in pieces:
                if not is_known:
                    pod = await self._client.get(f"{self._path(namespace)}/pods/{name}")
                    if _WORKER_LABEL in ((pod.get("metadata") or {}).get("labels") or {}):
                        raise NotFoundError(404, "NotFound", f"the Pod {name} is that of many tasks")
                    is_known = True
                yield piece

    def _path(self, namespace: str) -> str:
        return f"/api/v1/namespaces/{namespace or self._default}"

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    @staticmethod
    async def _create_client(cluster: Cluster) -> KubeClient:
        return KubeClient(cluster, program="penstock-server", deadline=_SECONDS / 2)
