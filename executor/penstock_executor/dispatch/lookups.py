"""Asks the server for cached results, many at a time, and believes an answer only while its artifacts exist."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.dispatch import convert
from penstock_executor.dispatch.backoff import delays
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.session import RunSession
from penstock_executor.engine.effects import LookUpCache
from penstock_executor.engine.events import CacheAnswered, CachedResult
from penstock_executor.engine.state import RunContext
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_KEYS_PER_CALL = 500


class CacheLookups:
    """`answered(session, event)` delivers the answers. A look-up that is refused counts as a miss."""

    def __init__(
        self,
        client: DispatchClient,
        store: ArtifactStore,
        answered: Callable[[RunSession, CacheAnswered], None],
        now: Callable[[], int],
    ) -> None:
        self._client = client
        self._store = store
        self._answered = answered
        self._now = now
        self._waiting: list[tuple[RunSession, LookUpCache]] = []
        self._wake = asyncio.Event()

    def put(self, session: RunSession, effect: LookUpCache) -> None:
        self._waiting.append((session, effect))
        self._wake.set()

    async def work(self) -> None:
        """Answers look-ups until cancelled."""
        retry = delays()
        while True:
            await self._wake.wait()
            asked, self._waiting = self._waiting[:_KEYS_PER_CALL], self._waiting[_KEYS_PER_CALL:]
            asked = [(session, effect) for session, effect in asked if not session.lost]
            if not asked:
                if not self._waiting:
                    self._wake.clear()
                continue
            keys = [
                pb.LookupCacheRequest.Key(
                    fingerprint=effect.fingerprint,
                    pipeline_name=session.context.pipeline_name,
                    namespace=session.context.namespace,
                    not_before_millis=_not_before(session.context, self._now()),
                )
                for session, effect in asked
            ]
            try:
                answers = await self._client.look_up(keys)
                found = [(convert.cached_result(answer), answer.reason) for answer in answers]
            except ServerUnavailableError as error:
                log.warning("cache look-ups wait for the server: %s", error)
                self._waiting = asked + self._waiting
                await asyncio.sleep(next(retry))
                continue
            except ServerRejectedError as error:
                log.error("cache look-ups refused, going on without: %s", error)
                found = [(None, f"the look-up was refused: {error}")] * len(asked)
            retry = delays()
            for (session, effect), (hit, reason) in zip(asked, found, strict=True):
                gone = await self._what_is_gone(hit) if hit is not None else ""
                usable = None if gone else hit
                event = CacheAnswered(effect.path, effect.fingerprint, self._now(), usable, gone or reason)
                self._answered(session, event)

    async def _what_is_gone(self, hit: CachedResult) -> str:
        """Why the result cannot be used, empty when it can."""
        for many in hit.outputs.artifacts.values():
            for artifact in many:
                if artifact.absent:
                    continue
                try:
                    # Only what lies in our own store can be checked at no cost; the rest is the user's word.
                    if self._store.local_path(artifact.uri) is not None and not await self._store.exists(artifact.uri):
                        return f"the artifact {artifact.uri} of run {hit.run_id} is gone"
                except ArtifactStoreError as error:
                    log.warning("cached artifact %s cannot be checked: %s", artifact.uri, error)
                    return f"the artifact {artifact.uri} of run {hit.run_id} cannot be checked: {error}"
        return ""


def _not_before(context: RunContext, now: int) -> int:
    return now - context.max_cache_age_millis if context.max_cache_age_millis else 0
