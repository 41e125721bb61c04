"""Gets single objects of a Kubernetes API server: ConfigMaps and Secrets of namespaces.

The methods block; the calls run on an event loop in a thread of its own.

Invariants: a call ends within seconds, with the object, None or a KubeError; few calls wait for the cluster at a time,
so that a cluster that is slow does not hold all threads of the server.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import NotFoundError, UnavailableError

SECONDS = 5.0
_CONNECTIONS = 16
_PLACE_SECONDS = 1.0


class ClusterObjects:
    """`seconds` is the deadline of a call."""

    def __init__(self, cluster: Cluster, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="namespace-stores", daemon=True)
        self._thread.start()

        async def client() -> KubeClient:
            return KubeClient(cluster, program="penstock-server", deadline=seconds, connections=_CONNECTIONS)

        self._client = asyncio.run_coroutine_threadsafe(client(), self._loop).result()

    def get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
        """The object of the core API, None when there is none. Raises KubeError."""
        if not self._places.acquire(timeout=_PLACE_SECONDS):
            raise UnavailableError(0, "Busy", "the cluster is asked too much at once", ambiguous=False)
        path = f"/api/v1/namespaces/{namespace}/{plural}/{name}"
        pending = asyncio.run_coroutine_threadsafe(self._client.get(path), self._loop)
        try:
            return pending.result(self._seconds + 1)
        except NotFoundError:
            return None
        except FutureTimeoutError as error:
            pending.cancel()
            raise UnavailableError(0, "Timeout", "no answer in time") from error
        finally:
            self._places.release()

    def close(self) -> None:
        """Closes all connections. No call may follow."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(self._seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
