"""Asks a Kubernetes API server what it decides: whose a token is, whether a user may do something.

The methods block; the calls run on an event loop in a thread of its own.

Invariants: a call ends within seconds, with the answer or an UnavailableError, which does not repeat what was sent. Few
calls wait for the cluster at a time, so that strangers with tokens of any text cannot have all threads of the server
wait for a cluster that is slow.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import InvalidError, KubeError

from penstock_server.errors import UnavailableError

log = logging.getLogger(__name__)

SECONDS = 5.0
_CONNECTIONS = 16
_PLACE_SECONDS = 1.0


class ClusterReviews:
    """Creates review objects, which a cluster answers and does not keep. `seconds` is the deadline of a call."""

    def __init__(self, cluster: Cluster, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reviews", daemon=True)
        self._thread.start()

        async def client() -> KubeClient:
            return KubeClient(cluster, program="penstock-server", deadline=seconds, connections=_CONNECTIONS)

        self._client = asyncio.run_coroutine_threadsafe(client(), self._loop).result()

    def close(self) -> None:
        """Closes all connections. No call may follow."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(self._seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The review at `path` with the `status` that the cluster gave it; empty when it takes no such review.

        Raises UnavailableError when the cluster does not answer in time, or does not let the server ask.
        """
        if not self._places.acquire(timeout=_PLACE_SECONDS):
            raise UnavailableError("the cluster is asked too much about who may call; try again later")
        pending = asyncio.run_coroutine_threadsafe(self._client.create(path, body), self._loop)
        try:
            return pending.result(self._seconds + 1)
        except InvalidError:
            return {}
        except (KubeError, FutureTimeoutError) as error:
            pending.cancel()
            log.warning("%s: %s", path, error or "no answer in time")
            raise UnavailableError("the cluster does not answer who may call; try again later") from error
        finally:
            self._places.release()
