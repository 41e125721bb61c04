"""Carries committed launches out, a bounded number at a time, in order within a run, in turns between runs.

Invariants: a launch waits here as a path, not as a resolved task; it is resolved when its turn comes and skipped when
the task has moved on, or its run is no longer held; while the lease of its run has lapsed it waits. One for which the
backend has no place holds up its run's later ones, never another run's. What an earlier owner may have begun needs no
place: it is looked for first. Runs have their turns by rank (`penstock_ir.ranks`), counted from the latest turn: those
of one priority one after the other, those of a lower one later, but not never. A task that cannot even be resolved ends
as failed, like any other.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from penstock_ir.event_log import AttemptEnded, FailureKind
from penstock_ir.ranks import rank
from penstock_ir.task_rows import TaskPhase

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.base import Backend, LeaseUncertainError, NoCapacityError
from penstock_executor.background import Background
from penstock_executor.dispatch.leases import Leases
from penstock_executor.dispatch.session import RunSession
from penstock_executor.engine.effects import Cancel, Launch
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.state import ContainerNode

log = logging.getLogger(__name__)

_AT_ONCE = 64
_RECHECK_SECONDS = 0.5
_TOLD_EVERY_SECONDS = 1.0
BEFORE_IT_STARTED = "the run was terminated before this task started"


@dataclass(slots=True, order=True)
class _Turn:
    rank: int
    number: int
    run_id: str = field(compare=False)


@dataclass(slots=True, order=True)
class _Entry:
    """`adopt`: an earlier owner may have begun the attempt, so it has to be looked for, even one to be cancelled."""

    number: int
    session: RunSession = field(compare=False)
    effect: Launch = field(compare=False)
    adopt: bool = field(compare=False)

    @property
    def key(self) -> AttemptKey:
        return AttemptKey(self.session.run_id, self.effect.path, self.effect.attempt)

    def node(self) -> ContainerNode | None:
        """The task, None when it has moved on."""
        node = self.session.node(self.effect.path)
        if (
            node is None
            or node.attempt != self.effect.attempt
            or node.phase not in (TaskPhase.LAUNCHED, TaskPhase.CANCELING)
        ):
            return None
        return node


class LaunchQueue:
    """`ended(session, event)` delivers attempts that never reached the backend; `waits(session, text)` tells why those
    of a run that have their turn wait, empty when they do no more."""

    def __init__(
        self,
        backend: Backend,
        leases: Leases,
        ended: Callable[[RunSession, AttemptEnded], None],
        waits: Callable[[RunSession, str], None],
        now: Callable[[], int],
    ) -> None:
        self._backend = backend
        self._leases = leases
        self._ended = ended
        self._waits = waits
        self._now = now
        self._numbers = count()
        self._queues: dict[str, list[_Entry]] = {}
        self._waiting: dict[AttemptKey, _Entry] = {}
        self._turns: list[_Turn] = []
        self._changed = asyncio.Event()
        self._blocked: dict[str, str] = {}
        self._told: dict[str, tuple[RunSession, str]] = {}
        self._begun: set[AttemptKey] = set()
        self.launched = 0
        """Attempts that the backend started or adopted."""

    def put(self, session: RunSession, effect: Launch, adopt: bool) -> None:
        """`adopt`: an earlier owner may have started the attempt, so even one to be cancelled has to be looked for."""
        self._put(_Entry(next(self._numbers), session, effect, adopt))

    async def cancel(self, session: RunSession, effect: Cancel) -> None:
        """Ends an attempt that was handed to the backend, or that waits here and nobody began; one that may have been
        begun by an earlier owner ends when its turn comes."""
        key = AttemptKey(session.run_id, effect.path, effect.attempt)
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.adopt:
            self._end(waiting, FailureKind.CANCELED, BEFORE_IT_STARTED)
        elif key in self._begun and await self._held(session):
            await self._backend.cancel(key)

    def forget(self, run_id: str) -> None:
        self._begun = {key for key in self._begun if key.run_id != run_id}
        queue = self._queues.get(run_id, [])
        for entry in queue:
            self._waiting.pop(entry.key, None)
        # It leaves the turns when it comes to its own.
        queue.clear()
        self._blocked.pop(run_id, None)
        self._told.pop(run_id, None)

    def over(self, key: AttemptKey) -> None:
        """The attempt has ended: there may be a place."""
        self._begun.discard(key)
        self._changed.set()

    async def work(self) -> None:
        """Launches until cancelled."""
        free = asyncio.Semaphore(_AT_ONCE)
        background = Background("launches")
        background.begin(self._tell())
        try:
            while True:
                await free.acquire()
                task = background.begin(self._carried_out(await self._take()))
                task.add_done_callback(lambda _: free.release())
        finally:
            background.cancel()

    def _put(self, entry: _Entry) -> None:
        run_id = entry.session.run_id
        queue = self._queues.get(run_id)
        if queue is None:
            queue = self._queues[run_id] = []
            self._take_turn(entry.session)
        heapq.heappush(queue, entry)
        self._waiting[entry.key] = entry
        self._changed.set()

    async def _take(self) -> _Entry:
        while True:
            self._changed.clear()
            entry = self._next()
            if entry is not None:
                return entry
            # Other executors do not notify this one when they free a slot of the installation, so it polls.
            recheck = _RECHECK_SECONDS if self._queues else None
            try:
                await asyncio.wait_for(self._changed.wait(), recheck)
            except asyncio.TimeoutError:
                continue

    def _next(self) -> _Entry | None:
        """The first launch of the run whose turn it is and that has a place."""
        passed: list[_Turn] = []
        found = None
        while self._turns and found is None:
            turn = heapq.heappop(self._turns)
            queue = self._queues[turn.run_id]
            entry = self._head(queue)
            if entry is None:
                del self._queues[turn.run_id]
                self._blocked.pop(turn.run_id, None)
                continue
            why = "" if entry.adopt else self._backend.reserve(entry.key, entry.session.context.namespace)
            if why:
                self._blocked[turn.run_id] = why
                passed.append(turn)
                continue
            heapq.heappop(queue)
            del self._waiting[entry.key]
            self._take_turn(entry.session)
            found = entry
        for turn in passed:
            heapq.heappush(self._turns, turn)
        return found

    def _take_turn(self, session: RunSession) -> None:
        """Puts the run's next turn in line."""
        since = int(self._leases.now() * 1000)
        turn = _Turn(rank(since, session.context.priority), next(self._numbers), session.run_id)
        heapq.heappush(self._turns, turn)

    def _head(self, queue: list[_Entry]) -> _Entry | None:
        """The first entry that is still wanted; those before it are dropped."""
        while queue:
            entry = queue[0]
            if not entry.session.lost and entry.node() is not None:
                return entry
            heapq.heappop(queue)
            if self._waiting.get(entry.key) is entry:
                del self._waiting[entry.key]
        return None

    async def _tell(self) -> None:
        """Now and then only: most waits are over before they are of interest."""
        while True:
            await asyncio.sleep(_TOLD_EVERY_SECONDS)
            for run_id, why in self._blocked.items():
                queue = self._queues.get(run_id)
                if queue and self._told.get(run_id, (None, ""))[1] != why:
                    self._told[run_id] = (queue[0].session, why)
                    self._waits(queue[0].session, why)
            for run_id in [run_id for run_id in self._told if run_id not in self._blocked]:
                session, _ = self._told.pop(run_id)
                if not session.lost:
                    self._waits(session, "")

    async def _carried_out(self, entry: _Entry) -> None:
        session, effect = entry.session, entry.effect
        try:
            await self._launch(entry)
        except NoCapacityError as error:
            # It was looked for, and nobody has begun it.
            self._begun.discard(entry.key)
            if not session.lost:
                self._put(replace(entry, adopt=False))
                self._blocked[session.run_id] = str(error)
        except Exception as error:
            log.exception("run %s: task %s cannot be launched", session.run_id, effect.path)
            self._end(entry, FailureKind.INFRASTRUCTURE, f"the task could not be launched: {error}")
        finally:
            self._backend.unreserve(entry.key)

    async def _held(self, session: RunSession) -> bool:
        return await self._leases.until_certain(session.run_id) and not session.lost

    async def _launch(self, entry: _Entry) -> None:
        session, path = entry.session, entry.effect.path
        while await self._held(session):
            try:
                await self._launch_held(entry)
            except LeaseUncertainError as error:
                log.info("run %s: %s waits, the lease is not certain (%s)", session.run_id, path, error)
            else:
                return

    async def _launch_held(self, entry: _Entry) -> None:
        session, node, key = entry.session, entry.node(), entry.key
        if node is None:
            return
        canceling = node.phase is TaskPhase.CANCELING
        if canceling and not entry.adopt:
            self._end(entry, FailureKind.CANCELED, BEFORE_IT_STARTED)
            return
        task = task_launch(node, session.context)
        if entry.adopt:
            task = replace(task, may_exist=True, seen_running=bool(node.pod_name))
        self._begun.add(key)
        await self._backend.launch(task)
        self.launched += 1
        if canceling or node.phase is TaskPhase.CANCELING:
            await self._backend.cancel(key)

    def _end(self, entry: _Entry, failure: FailureKind, error: str) -> None:
        effect = entry.effect
        self._ended(
            entry.session,
            AttemptEnded(path=effect.path, attempt=effect.attempt, at=self._now(), failure=failure, error=error),
        )
