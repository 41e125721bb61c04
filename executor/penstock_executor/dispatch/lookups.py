"""Asks the server for cached results, many at a time, and believes an answer only while its artifacts exist.

Invariants: a look-up is answered once, whatever fails; at most so many results are checked at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import CacheAnswered, CachedResult

from penstock_executor.background import Background
from penstock_executor.backoff import delays
from penstock_executor.dispatch import convert
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.existence import ExistenceChecks
from penstock_executor.dispatch.session import RunSession
from penstock_executor.engine.effects import LookUpCache
from penstock_executor.engine.state import RunContext
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_KEYS_PER_CALL = 500
_CHECKS_AT_ONCE = 1_000


class CacheLookups:
    """`answered(session, event)` delivers the answers. A look-up that is refused counts as a miss."""

    def __init__(
        self,
        client: DispatchClient,
        checks: ExistenceChecks,
        answered: Callable[[RunSession, CacheAnswered], None],
        now: Callable[[], int],
    ) -> None:
        self._client = client
        self._checks = checks
        self._room = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._background = Background("cached results")
        self._answered = answered
        self._now = now
        self._waiting: list[tuple[RunSession, LookUpCache]] = []
        self._wake = asyncio.Event()

    def put(self, session: RunSession, effect: LookUpCache) -> None:
        self._waiting.append((session, effect))
        self._wake.set()

    async def work(self) -> None:
        """Answers look-ups until cancelled."""
        try:
            await self._work()
        finally:
            self._background.cancel()

    async def _work(self) -> None:
        retry = delays()
        # No retry of one call: the next try asks without the runs that were lost and with the look-ups that came since.
        while True:
            await self._wake.wait()
            lookups, self._waiting = self._waiting[:_KEYS_PER_CALL], self._waiting[_KEYS_PER_CALL:]
            lookups = [(session, effect) for session, effect in lookups if not session.lost]
            if not lookups:
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
                for session, effect in lookups
            ]
            try:
                answers = await self._client.look_up(keys)
                results = [(convert.cached_result(answer), answer.reason) for answer in answers]
            except ServerUnavailableError as error:
                log.warning("cache look-ups wait for the server: %s", error)
                self._waiting = lookups + self._waiting
                await asyncio.sleep(next(retry))
                continue
            except ServerRejectedError as error:
                log.error("cache look-ups refused, going on without: %s", error)
                results = [(None, f"the look-up was refused: {error}")] * len(lookups)
            retry = delays()
            for (session, effect), (hit, reason) in zip(lookups, results, strict=True):
                if hit is None or not any(hit.outputs.artifacts.values()):
                    self._answer(session, effect, hit, reason)
                else:
                    await self._room.acquire()
                    self._background.begin(self._check(session, effect, hit))

    async def _check(self, session: RunSession, effect: LookUpCache, hit: CachedResult) -> None:
        try:
            why = await self._checks.why_unusable(session.context.namespace, hit)
        except Exception as error:  # - the task runs rather than wait for ever
            log.exception("the cached result of run %s cannot be checked", hit.run_id)
            why = f"its artifacts cannot be checked: {error}"
        finally:
            self._room.release()
        self._answer(session, effect, None if why else hit, why)

    def _answer(self, session: RunSession, effect: LookUpCache, hit: CachedResult | None, reason: str) -> None:
        self._answered(session, CacheAnswered(effect.path, effect.fingerprint, self._now(), hit, reason))


def _not_before(context: RunContext, now: int) -> int:
    return now - context.max_cache_age_millis if context.max_cache_age_millis else 0
