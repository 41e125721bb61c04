"""Writes and log reads on Pods, at a bounded rate, for as long as it takes.

Why it exists: an API server that throttles, restarts or loses an answer is no failure of a task. A write is repeated
until it is certain: names are deterministic, so "exists already" and "not found" are answers, too.

Invariants: a Pod is created only while `may_create` holds, asked right before each try; creates and deletes have a
bucket each, so that new work cannot starve the removal of old; what the server asks us to wait, everybody waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from aiolimiter import AsyncLimiter
from penstock_kube.client import KubeClient
from penstock_kube.errors import (
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NotFoundError,
    QuotaExceededError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)

from penstock_executor.dispatch.backoff import delays

log = logging.getLogger(__name__)

_MAX_PAUSE_SECONDS = 30.0


class NotAllowedError(Exception):
    """The caller withdrew its leave while a create waited; nothing was made by the last try."""


class PodCalls:
    """`per_second` bounds creates and deletes, each."""

    def __init__(self, client: KubeClient, per_second: float) -> None:
        self._client = client
        burst = max(1.0, per_second)
        self._creates = AsyncLimiter(burst, burst / per_second)
        self._deletes = AsyncLimiter(burst, burst / per_second)
        self._paused_until = 0.0

    async def create(
        self, namespace: str, pod: Mapping[str, Any], may_create: Callable[[], bool]
    ) -> tuple[Mapping[str, Any], bool]:
        """The Pod as the server has it, and whether this call made it; one of that name that exists is given back.

        Raises NotAllowedError, and KubeError for what no repetition mends (invalid, forbidden, no such namespace).
        """
        path = pods_path(namespace)
        name = str(pod["metadata"]["name"])
        for delay in delays():
            await self._turn(self._creates)
            if not may_create():
                raise NotAllowedError(name)
            try:
                return await self._client.create(path, pod), True
            except AlreadyExistsError:
                try:
                    return await self._client.get(f"{path}/{name}"), False
                except NotFoundError:
                    # Gone between the two calls: whoever removed it knows why, so it is looked at again.
                    error: KubeError | None = None
                except (ThrottledError, UnavailableError, UnauthorizedError) as unanswered:
                    error = unanswered
            except ThrottledError as throttled:
                self._pause(throttled.retry_after)
                error = throttled
            except (QuotaExceededError, ConflictError, UnavailableError, UnauthorizedError) as unanswered:
                error = unanswered
            if error is not None:
                log.warning("Pod %s/%s cannot be created yet: %s", namespace, name, error)
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")

    async def delete(self, namespace: str, name: str, uid: str, grace_seconds: int | None = None) -> None:
        """Returns when the deletion was accepted or the Pod is gone. Raises KubeError when it is refused for good."""
        for delay in delays():
            await self._turn(self._deletes)
            try:
                await self._client.delete(
                    f"{pods_path(namespace)}/{name}", uid=uid or None, grace_seconds=grace_seconds
                )
            except NotFoundError:
                return
            except ConflictError:
                # Another uid, or somebody wrote to the Pod at the same time: the answer does not tell which.
                if await self._is_gone(namespace, name, uid):
                    return
            except ThrottledError as error:
                self._pause(error.retry_after)
            except (UnavailableError, UnauthorizedError) as error:
                log.warning("Pod %s/%s cannot be deleted yet: %s", namespace, name, error)
            else:
                return
            await asyncio.sleep(delay)

    def log(
        self,
        namespace: str,
        name: str,
        container: str,
        *,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """A container's log so far, piece by piece. Raises KubeError on the way."""
        return self._client.log(namespace, name, container, tail_lines=tail_lines, limit_bytes=limit_bytes)

    async def _is_gone(self, namespace: str, name: str, uid: str) -> bool:
        """Whether there is no such Pod or the name is another's by now; not when that cannot be told."""
        try:
            found = await self._client.get(f"{pods_path(namespace)}/{name}")
        except NotFoundError:
            return True
        except (ThrottledError, UnavailableError, UnauthorizedError):
            return False
        return bool(uid) and found["metadata"]["uid"] != uid

    async def _turn(self, limiter: AsyncLimiter) -> None:
        await limiter.acquire()
        while (left := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + min(max(seconds, 0.0), _MAX_PAUSE_SECONDS)
        self._paused_until = max(self._paused_until, until)


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"
