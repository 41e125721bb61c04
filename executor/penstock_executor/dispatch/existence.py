"""Whether the objects of a cached result still exist, in whichever store they lie.

Why: a result whose model was deleted is none, and the task that uses it would fail for what the cache has said.

Invariants: a store that does not answer makes no hit and no failure, so the task runs; it is not asked again for a
while, so that thousands of results do not wait for it one after another, and it keeps nobody from results that lie
elsewhere. What no store of this executor leads to, or a place of the task's own that it may not look at, is the task's
word.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from penstock_ir.event_log import CachedResult
from penstock_store.base import ArtifactStore, ArtifactStoreError, NoStoreError

from penstock_executor.backends.base import BackendUnavailableError

log = logging.getLogger(__name__)

_AT_ONCE = 16
_ANSWER_SECONDS = 10.0
_SILENCE_SECONDS = 30.0
_PLACES = 1_000


@dataclass(slots=True)
class _Place:
    """A bucket of a namespace. `silent` says how it failed to answer, until then."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    silent: str = ""
    until: float = 0.0


class ExistenceChecks:
    """`store_of(namespace)` gives the store with the credentials that hold there, as `Backend.store`."""

    def __init__(
        self,
        store_of: Callable[[str], Awaitable[ArtifactStore]],
        now: Callable[[], float] = time.monotonic,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._store_of = store_of
        self._now = now
        self._answer_seconds = answer_seconds
        self._places: dict[tuple[str, str], _Place] = {}

    async def why_unusable(self, namespace: str, result: CachedResult) -> str:
        """Why a cached result of a namespace cannot be used, empty when it can."""
        for many in result.outputs.artifacts.values():
            for artifact in many:
                if artifact.absent:
                    continue
                named = f"the artifact {artifact.uri} of run {result.run_id}"
                try:
                    if not await self._exists(namespace, artifact.uri):
                        return f"{named} is gone"
                except ArtifactStoreError as error:
                    own = f"/{result.run_id}/" in artifact.uri
                    if isinstance(error, NoStoreError) or not (own or error.transient):
                        log.debug("cached artifact %s is not looked at: %s", artifact.uri, error)
                        continue
                    log.warning("cached artifact %s cannot be checked: %s", artifact.uri, error)
                    return f"it is not known whether {named} still exists: {error}"
        return ""

    async def _exists(self, namespace: str, uri: str) -> bool:
        """Raises ArtifactStoreError."""
        place = self._place(namespace, uri)
        async with place.slots:
            if place.until > self._now():
                raise ArtifactStoreError(place.silent, transient=True)
            try:
                return await asyncio.wait_for(self._look(namespace, uri), self._answer_seconds)
            except asyncio.TimeoutError:
                error = ArtifactStoreError(
                    f"{uri}: the store does not answer within {self._answer_seconds:g} s", transient=True
                )
            except BackendUnavailableError as unavailable:
                error = ArtifactStoreError(f"{uri}: {unavailable}", transient=True)
            except ArtifactStoreError as failed:
                error = failed
            if error.transient:
                place.silent, place.until = str(error), self._now() + _SILENCE_SECONDS
            raise error

    async def _look(self, namespace: str, uri: str) -> bool:
        return await (await self._store_of(namespace)).exists(uri)

    def _place(self, namespace: str, uri: str) -> _Place:
        scheme, separator, rest = uri.partition("://")
        name = (namespace, f"{scheme}://{rest.split('/', 1)[0]}" if separator else "")
        if name not in self._places and len(self._places) >= _PLACES:
            now = self._now()
            self._places = {one: kept for one, kept in self._places.items() if kept.until > now or kept.slots.locked()}
        return self._places.setdefault(name, _Place())
