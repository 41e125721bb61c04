"""Carries committed launches out, a bounded number at a time, fair between runs.

Invariants: a launch waits here as a path, not as a resolved task; it is resolved when its turn comes and skipped when
the task has moved on, or its run is no longer held; while the lease of its run has lapsed it waits. A task that cannot
even be resolved ends as failed, like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from penstock_executor.backends.base import AttemptKey, Backend, FailureKind, NotHeldError
from penstock_executor.dispatch.leases import Leases
from penstock_executor.dispatch.session import RunSession
from penstock_executor.engine.effects import Cancel, Launch
from penstock_executor.engine.events import AttemptEnded
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.state import Phase

log = logging.getLogger(__name__)

_AT_ONCE = 64


class LaunchQueue:
    """`ended(session, event)` delivers attempts that never reached the backend."""

    def __init__(
        self,
        backend: Backend,
        leases: Leases,
        ended: Callable[[RunSession, AttemptEnded], None],
        now: Callable[[], int],
    ) -> None:
        self._backend = backend
        self._leases = leases
        self._ended = ended
        self._now = now
        self._queues: dict[str, deque[tuple[RunSession, Launch, bool]]] = {}
        self._turns: deque[str] = deque()
        self._ready = asyncio.Semaphore(0)
        self._begun: set[AttemptKey] = set()
        self.launched = 0
        """Attempts that the backend started or adopted."""

    def put(self, session: RunSession, effect: Launch, *, adopt: bool) -> None:
        """`adopt`: an earlier owner may have started the attempt, so even one to be cancelled has to be looked for."""
        queue = self._queues.get(session.run_id)
        if queue is None:
            queue = self._queues[session.run_id] = deque()
            self._turns.append(session.run_id)
        queue.append((session, effect, adopt))
        self._ready.release()

    async def cancel(self, session: RunSession, effect: Cancel) -> None:
        """Ends an attempt that was handed to the backend; one that still waits here ends when its turn comes."""
        key = AttemptKey(session.run_id, effect.path, effect.attempt)
        if key in self._begun and await self._held(session):
            await self._backend.cancel(key)

    def forget(self, run_id: str) -> None:
        self._begun = {key for key in self._begun if key.run_id != run_id}

    def over(self, key: AttemptKey) -> None:
        """The attempt has ended."""
        self._begun.discard(key)

    async def work(self) -> None:
        """Launches until cancelled."""
        await asyncio.gather(*(self._worker() for _ in range(_AT_ONCE)))

    async def _worker(self) -> None:
        while True:
            await self._ready.acquire()
            session, effect, adopt = self._next()
            if session.lost:
                continue
            try:
                await self._launch(session, effect, adopt)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("run %s: task %s cannot be launched", session.run_id, effect.path)
                self._end(session, effect, FailureKind.INFRASTRUCTURE, f"the task could not be launched: {error}")

    def _next(self) -> tuple[RunSession, Launch, bool]:
        run_id = self._turns.popleft()
        queue = self._queues[run_id]
        entry = queue.popleft()
        if queue:
            self._turns.append(run_id)
        else:
            del self._queues[run_id]
        return entry

    async def _held(self, session: RunSession) -> bool:
        return await self._leases.until_certain(session.run_id) and not session.lost

    async def _launch(self, session: RunSession, effect: Launch, adopt: bool) -> None:
        while await self._held(session):
            try:
                await self._launch_held(session, effect, adopt)
            except NotHeldError as error:
                log.info("run %s: %s waits, the lease is not certain (%s)", session.run_id, effect.path, error)
            else:
                return

    async def _launch_held(self, session: RunSession, effect: Launch, adopt: bool) -> None:
        node = session.node(effect.path)
        if node is None or node.attempt != effect.attempt or node.phase not in (Phase.LAUNCHED, Phase.CANCELING):
            return
        key = AttemptKey(session.run_id, effect.path, effect.attempt)
        canceling = node.phase is Phase.CANCELING
        if canceling and not adopt:
            self._end(session, effect, FailureKind.CANCELED, "the run was terminated before this task started")
            return
        task = task_launch(node, session.context)
        if adopt and node.pod_name:
            task = replace(task, seen_running=True)
        self._begun.add(key)
        await self._backend.launch(task)
        self.launched += 1
        if canceling or node.phase is Phase.CANCELING:
            await self._backend.cancel(key)

    def _end(self, session: RunSession, effect: Launch, failure: FailureKind, error: str) -> None:
        self._ended(
            session,
            AttemptEnded(path=effect.path, attempt=effect.attempt, at=self._now(), failure=failure, error=error),
        )
