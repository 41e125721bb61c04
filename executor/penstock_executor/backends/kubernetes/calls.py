"""Writes and log reads on Pods, at a bounded rate, for as long as it takes.

Why it exists: an API server that throttles, restarts or loses an answer is no failure of a task. A write is repeated
until it is certain: names are deterministic, so "exists already" and "not found" are answers, too.

Invariants: a Pod is created only while `may_create` holds, asked right before each try, and never again once the server
said that it exists; creates and deletes have a token bucket each, so that new work cannot starve the removal of old;
when the server asks for a pause, every call waits for it.
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

from penstock_executor.backoff import delays, retried

log = logging.getLogger(__name__)

_MAX_PAUSE_SECONDS = 30.0


class CreateAbandonedError(Exception):
    """`may_create` held no longer while a create waited; no Pod of that name is there."""


class PodVanishedError(Exception):
    """A Pod of that name was there, and is not any more: to create it again would run its task a second time."""


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

        Raises CreateAbandonedError, PodVanishedError, QuotaExceededError when no Pod was created, and KubeError for
        what no repetition mends (invalid, forbidden, no such namespace).
        """
        path = pods_path(namespace)
        name = str(pod["metadata"]["name"])
        exists = unanswered = False
        error: KubeError
        # No retry of one call: by the answers so far, the next try creates the Pod or looks for it.
        for delay in delays():
            await self._turn(self._creates)
            allowed = may_create()
            if not (allowed or exists or unanswered):
                raise CreateAbandonedError(name)
            try:
                if allowed and not exists:
                    return await self._client.create(path, pod), True
                # An earlier try may have created it: that has to be known although it is no longer wanted.
                found = await self._existing(path, name)
                if found is not None:
                    return found, False
                raise PodVanishedError(name) if exists else CreateAbandonedError(name)
            except AlreadyExistsError:
                exists = True
                continue
            except ThrottledError as throttled:
                self._pause(throttled.retry_after)
                error = throttled
            except UnavailableError as away:
                unanswered = unanswered or away.ambiguous
                error = away
            except QuotaExceededError as refused:
                if not unanswered:
                    raise
                error = refused
            except (ConflictError, UnauthorizedError) as refused:
                error = refused
            log.warning("Pod %s/%s cannot be created yet: %s", namespace, name, error)
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")

    async def delete(self, namespace: str, name: str, uid: str, grace_seconds: int | None = None) -> None:
        """Returns when the deletion was accepted or the Pod is gone. Raises KubeError when it is refused for good."""
        # No retry of one call: each try waits for its turn, and after a conflict another call tells whether to go on.
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

    async def pod(self, namespace: str, name: str, seconds: float) -> Mapping[str, Any] | None:
        """The Pod as the API server has it at this moment, whatever a watch has told; None when there is none.

        Raises KubeError when it is refused, or does not answer within so many seconds.
        """
        return await retried(lambda: self._existing(pods_path(namespace), name), seconds=seconds)

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

    async def _existing(self, path: str, name: str) -> Mapping[str, Any] | None:
        try:
            return await self._client.get(f"{path}/{name}")
        except NotFoundError:
            return None

    async def _is_gone(self, namespace: str, name: str, uid: str) -> bool:
        """Whether there is no such Pod or the name is another's by now; not when that cannot be told."""
        try:
            found = await self._existing(pods_path(namespace), name)
        except (ThrottledError, UnavailableError, UnauthorizedError):
            return False
        return found is None or (bool(uid) and found["metadata"]["uid"] != uid)

    async def _turn(self, limiter: AsyncLimiter) -> None:
        await limiter.acquire()
        # A pause may be made longer while it lasts.
        while (left := self._paused_until - time.monotonic()) > 0:  # noqa: ASYNC110 - it sleeps for all that is left
            await asyncio.sleep(left)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + min(max(seconds, 0.0), _MAX_PAUSE_SECONDS)
        self._paused_until = max(self._paused_until, until)


def pods_path(namespace: str) -> str:
    """The path of a namespace's Pods in the API."""
    return f"/api/v1/namespaces/{namespace}/pods"
