"""Carries committed launches out, a bounded number at a time, in order within a run, in turns between runs.

Invariants: a launch waits here as a path, not as a resolved task; it is resolved when its turn comes and skipped when
the task has moved on, or its run is no longer held; while the lease of its run has lapsed it waits. One for which the
backend has no place holds up its run's later ones, never another run's. What an earlier owner may have begun needs no
place: it is looked for first. Runs have their turns by rank (`penstock_ir.ranks`), counted from the latest turn: those
of one priority one after the other, those of a lower one later, but not never. A task that cannot even be resolved ends
as failed, like any other.

The launches of a gang (docs/queueing.md) have one turn: they wait here until all have come and the backend has a place
for each. After a minute of that the gang keeps what comes free, one gang at a time, so others pass it no more.
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

from penstock_executor.attempts import AttemptKey, TaskLaunch
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
KEEPS_AFTER_SECONDS = 60.0
"""So long others pass a gang by that has too few places."""
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
    since: float = field(compare=False)

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
        self._gangs: dict[tuple[str, str], list[_Entry]] = {}
        # The gang that keeps places while it waits for the rest.
        self._keeping: list[_Entry] = []
        self.launched = 0
        """Attempts that the backend started or adopted."""

    def put(self, session: RunSession, effect: Launch, adopt: bool) -> None:
        """`adopt`: an earlier owner may have started the attempt, so even one to be cancelled has to be looked for."""
        entry = _Entry(next(self._numbers), session, effect, adopt, self._leases.now())
        if effect.gang is None:
            self._put(entry)
            return
        self._waiting[entry.key] = entry
        name = session.run_id, effect.gang.name
        gang = self._gangs.setdefault(name, [])
        gang.append(entry)
        if len(gang) >= effect.gang.members:
            del self._gangs[name]
            begun = adopt and _has_begun(gang)
            for one in gang:
                self._put(replace(one, effect=replace(one.effect, gang=None)) if begun else one)

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
        gangs = [name for name in self._gangs if name[0] == run_id]
        for entry in (*queue, *(entry for name in gangs for entry in self._gangs.pop(name))):
            self._waiting.pop(entry.key, None)
        if self._keeping and self._keeping[0].session.run_id == run_id:
            self._give_up_places()
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
                task = background.begin(self._carried_out_together(await self._take()))
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

    async def _take(self) -> list[_Entry]:
        while True:
            self._changed.clear()
            entries = self._next()
            if entries:
                return entries
            # Other executors do not notify this one when they free a slot of the installation, so it polls.
            recheck = _RECHECK_SECONDS if self._queues else None
            try:
                await asyncio.wait_for(self._changed.wait(), recheck)
            except asyncio.TimeoutError:
                continue

    def _next(self) -> list[_Entry]:
        """The first launch of the run whose turn it is and that has a place; of a gang all."""
        passed: list[_Turn] = []
        found: list[_Entry] = []
        if self._keeping and not any(self._waiting.get(one.key) is one for one in self._keeping):
            self._give_up_places()
        while self._turns and not found:
            turn = heapq.heappop(self._turns)
            queue = self._queues[turn.run_id]
            entry = self._head(queue)
            if entry is None:
                del self._queues[turn.run_id]
                self._blocked.pop(turn.run_id, None)
                continue
            entries = _with_its_gang(entry, queue)
            too_many = self._too_many(entries)
            why = "" if too_many else self._reserve(entries)
            if why:
                self._blocked[turn.run_id] = why
                passed.append(turn)
                continue
            _take_out(entries, queue)
            for one in entries:
                del self._waiting[one.key]
            self._take_turn(entry.session)
            found = [] if too_many else entries
            for one in entries if too_many else ():
                self._end(one, FailureKind.CONFIGURATION, too_many)
        for turn in passed:
            heapq.heappush(self._turns, turn)
        return found

    def _too_many(self, entries: list[_Entry]) -> str:
        """Why a gang never gets its places, empty when it may."""
        alone = len(entries) == 1 or entries[0].adopt
        there = 0 if alone else self._backend.places(entries[0].session.context.namespace)
        if not there or len(entries) <= there:
            return ""
        return (
            f"{len(entries)} attempts of the loop start together (penstock.dev/gang), and this executor runs {there} "
            "at a time: give it more places (--parallelism, in a cluster --namespace-parallelism, too), or the "
            "loop fewer items"
        )

    def _reserve(self, entries: list[_Entry]) -> str:
        """Reserves a place for each. Returns why they have to wait, with nothing reserved unless it is their turn to
        keep what comes free."""
        entry, namespace = entries[0], entries[0].session.context.namespace
        keeps = bool(self._keeping) and _is_of(entry, self._keeping[0])
        if len(entries) == 1:
            return "" if entry.adopt else self._backend.reserve(entry.key, namespace)
        for number, one in enumerate(entries):
            why = self._backend.reserve(one.key, namespace)
            if not why:
                continue
            late = self._leases.now() >= entry.since + KEEPS_AFTER_SECONDS
            if keeps or (late and not self._keeping):
                self._keeping = entries
            else:
                for reserved in entries[:number]:
                    self._backend.unreserve(reserved.key)
            return f"{len(entries)} attempts start together, and {number} have a place: {why}"
        if keeps:
            self._keeping = []
        return ""

    def _give_up_places(self) -> None:
        for entry in self._keeping:
            self._backend.unreserve(entry.key)
        self._keeping = []

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

    async def _carried_out_together(self, entries: list[_Entry]) -> None:
        """Of a gang, what each is launched with is known before any is."""
        if len(entries) == 1:
            await self._carried_out(entries[0])
            return
        tasks: list[tuple[_Entry, TaskLaunch]] = []
        held = await self._held(entries[0].session)
        for entry in entries:
            try:
                node = entry.node() if held else None
                if node is not None and node.phase is TaskPhase.LAUNCHED:
                    tasks.append((entry, _resolved(entry, node)))
                    continue
                await self._carried_out(entry)
            except Exception as error:
                log.exception("run %s: task %s cannot be launched", entry.session.run_id, entry.effect.path)
                self._end(entry, FailureKind.INFRASTRUCTURE, f"the task could not be launched: {error}")
                self._backend.unreserve(entry.key)
        launches = (self._carried_out(one, replace(task, together=len(tasks))) for one, task in tasks)
        await asyncio.gather(*launches)

    async def _carried_out(self, entry: _Entry, task: TaskLaunch | None = None) -> None:
        """`task`: what it is launched with first, together with its gang."""
        session, effect = entry.session, entry.effect
        try:
            await self._launch(entry, task)
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

    async def _launch(self, entry: _Entry, task: TaskLaunch | None) -> None:
        session, path = entry.session, entry.effect.path
        # The others of a gang wait for this one: the backend itself asks whether the lease is certain.
        while task is not None or await self._held(session):
            try:
                await self._launch_held(entry, task)
            except LeaseUncertainError as error:
                log.info("run %s: %s waits, the lease is not certain (%s)", session.run_id, path, error)
                task = None
            else:
                return

    async def _launch_held(self, entry: _Entry, task: TaskLaunch | None) -> None:
        node, key = entry.node(), entry.key
        if node is None:
            return
        canceling = node.phase is TaskPhase.CANCELING
        if canceling and not entry.adopt:
            self._end(entry, FailureKind.CANCELED, BEFORE_IT_STARTED)
            return
        self._begun.add(key)
        await self._backend.launch(task or _resolved(entry, node))
        self.launched += 1
        if canceling or node.phase is TaskPhase.CANCELING:
            await self._backend.cancel(key)

    def _end(self, entry: _Entry, failure: FailureKind, error: str) -> None:
        effect = entry.effect
        self._ended(
            entry.session,
            AttemptEnded(path=effect.path, attempt=effect.attempt, at=self._now(), failure=failure, error=error),
        )


def _with_its_gang(entry: _Entry, queue: list[_Entry]) -> list[_Entry]:
    """Those that are launched with the first of a queue, in order. One that is to be ended is only looked for."""
    gang, node = entry.effect.gang, entry.node()
    if gang is None or node is None or node.phase is TaskPhase.CANCELING:
        return [entry]
    return sorted(one for one in queue if _is_of(one, entry) and one.node() is not None)


def _take_out(entries: list[_Entry], queue: list[_Entry]) -> None:
    """Of a queue whose first entry is among them."""
    if len(entries) == 1:
        heapq.heappop(queue)
        return
    numbers = {entry.number for entry in entries}
    queue[:] = [entry for entry in queue if entry.number not in numbers]
    heapq.heapify(queue)


def _is_of(entry: _Entry, other: _Entry) -> bool:
    """Whether both are of one gang."""
    mine, theirs = entry.effect.gang, other.effect.gang
    return mine is not None and theirs is not None and mine.name == theirs.name and entry.session is other.session


def _has_begun(gang: list[_Entry]) -> bool:
    """Whether an earlier owner launched it: members have started, or ended."""
    nodes = [node for node in (entry.node() for entry in gang) if node is not None]
    return any(node.pod_name or (node.gang is not None and node.gang.members > len(gang)) for node in nodes)


def _resolved(entry: _Entry, node: ContainerNode) -> TaskLaunch:
    """Raises InputError."""
    task = task_launch(node, entry.session.context)
    return replace(task, may_exist=True, seen_running=bool(node.pod_name)) if entry.adopt else task
