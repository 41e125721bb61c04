"""Reads Pods, their events and running logs from the cluster.

Why in the server: it serves the Pod tabs of the web UI and the logs of running tasks; its RBAC rights are read-only.
The methods block, like all storage; the calls run on an event loop in a thread of its own.

Invariants: if the cluster does not answer, UnavailableError is raised within seconds; of a log one piece is in memory;
a stream without a reader is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import InvalidError, KubeError, NotFoundError

from penstock_server.errors import UnavailableError

_T = TypeVar("_T")
_SECONDS = 10.0
_POLL_SECONDS = 1.0


class ClusterPods:
    """`default_namespace` is that of runs without one."""

    def __init__(self, cluster: Cluster, default_namespace: str) -> None:
        self._default = default_namespace
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="pods", daemon=True).start()
        self._client = self._wait(self._create_client(cluster))

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

    def log(self, namespace: str, name: str, *, follow: bool, active: Callable[[], bool]) -> Iterator[bytes] | None:
        """The log of the user's container; None when the Pod is gone or has not begun. Raises UnavailableError."""
        pieces = self._client.log(namespace or self._default, name, "main", follow=follow)
        try:
            first = self._next(pieces, active)
        except (NotFoundError, InvalidError):
            return None
        except KubeError as error:
            raise UnavailableError(f"the cluster does not give the log of {name}: {error}") from error
        return self._stream(first, pieces, name, active)

    def _stream(
        self, first: bytes | None, pieces: AsyncGenerator[bytes, None], name: str, active: Callable[[], bool]
    ) -> Iterator[bytes]:
        try:
            while first is not None:
                yield first
                first = self._next(pieces, active)
        except KubeError as error:
            raise UnavailableError(f"the log of {name} broke off: {error}") from error
        finally:
            with contextlib.suppress(FutureTimeoutError):
                self._wait(pieces.aclose())

    def _next(self, pieces: AsyncGenerator[bytes, None], active: Callable[[], bool]) -> bytes | None:
        """The next piece; None at the end, or when the caller is gone."""

        async def next_piece() -> bytes | None:
            return await anext(pieces, None)

        pending = asyncio.run_coroutine_threadsafe(next_piece(), self._loop)
        while True:
            try:
                return pending.result(_POLL_SECONDS)
            except FutureTimeoutError:
                if pending.done():
                    raise
                if not active():
                    pending.cancel()
                    return None

    def _path(self, namespace: str) -> str:
        return f"/api/v1/namespaces/{namespace or self._default}"

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    @staticmethod
    async def _create_client(cluster: Cluster) -> KubeClient:
        return KubeClient(cluster, program="penstock-server", deadline=_SECONDS / 2)
