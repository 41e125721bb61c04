"""Asks the server for slots of pools, for attempts that are to begin.

Only what names pools is asked for, itself or its run; where namespaces or users have limits, everything.

Invariants: an attempt is handed on to be launched once its slots are granted, which the server has committed by then;
what was answered with "waits" nobody has begun, so it can be ended here. A call may be carried out long after it was
given up, so each says how much of the log was committed when it was made: the server sees what has ended since. Of
equal demands of a run the first ten are asked for, so a loop of ten thousand tasks is not as many rows; of those that
wait the first two, which the server grants first, and all only now and then. A gang is asked for whole, in one call,
and gets its slots together. What asks for nothing passes at once, without a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import AttemptEnded, FailureKind
from penstock_ir.model import ContainerExecutor
from penstock_ir.slots import Demand
from penstock_ir.task_rows import TaskPhase

from penstock_executor.backoff import delays
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.launches import BEFORE_IT_STARTED
from penstock_executor.dispatch.session import RunSession
from penstock_executor.engine.effects import Cancel, Launch
from penstock_executor.engine.state import ContainerNode, RunContext
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_ASKED_OF_A_LINE = 10
_HEADS = 2
_ASKED_AT_ONCE = 1000
_RECHECK_SECONDS = 0.5
_ALL_EVERY_SECONDS = 2.0
_TOLD_AFTER_SECONDS = 1.0
_TOLD_EVERY_SECONDS = 5.0
_Answer = pb.TakeSlotsResponse.Answer
_Line = tuple[str, tuple[Demand, ...], str]
"""The run, what is asked for, and the name of the gang that asks, if it is one."""


@dataclass(slots=True, eq=False)
class _Entry:
    """`waits`: the server said so. `told`: what users were told last, and when."""

    session: RunSession
    effect: Launch
    demands: tuple[Demand, ...]
    adopt: bool
    since: float
    waits: bool = False
    told: str = ""
    told_at: float = float("-inf")

    @property
    def line(self) -> _Line:
        gang = self.effect.gang
        return self.session.run_id, self.demands, gang.name if gang is not None else ""

    @property
    def key(self) -> tuple[str, int]:
        return self.effect.path, self.effect.attempt

    def node(self) -> ContainerNode | None:
        """The task, None when it has moved on or its run is no longer held."""
        node = self.session.node(self.effect.path)
        return node if node is not None and node.attempt == self.effect.attempt and not self.session.lost else None


class SlotQueue:
    """`launch(session, effect, adopt)` gets what may begin; `ended(session, event)` what never does;
    `waits(session, path, text)` tells why a task waits, empty when it does no more. `clock` counts seconds.
    """

    def __init__(
        self,
        client: DispatchClient,
        launch: Callable[[RunSession, Launch, bool], None],
        ended: Callable[[RunSession, AttemptEnded], None],
        waits: Callable[[RunSession, str, str], None],
        now: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._launch = launch
        self._ended = ended
        self._waits = waits
        self._now = now
        self._clock = clock
        self._lines: dict[_Line, dict[tuple[str, int], _Entry]] = {}
        self._of_run: dict[str, set[_Line]] = {}
        self._changed = asyncio.Event()
        self._all_at = float("-inf")
        self.limited = False
        """Namespaces or users have limits, as the server said last."""

    def put(self, session: RunSession, effect: Launch, *, adopt: bool) -> None:
        """`adopt`: an earlier owner may have begun it."""
        node = session.node(effect.path)
        demands = demands_of(node, session.context) if node is not None else ()
        if not demands and not self.limited:
            self._launch(session, effect, adopt)
            return
        entry = _Entry(session, effect, demands, adopt, self._clock())
        self._lines.setdefault(entry.line, {})[entry.key] = entry
        self._of_run.setdefault(session.run_id, set()).add(entry.line)
        self._changed.set()

    def cancel(self, session: RunSession, effect: Cancel) -> bool:
        """Ends an attempt that waits here; False when it does not."""
        key = effect.path, effect.attempt
        for line in self._of_run.get(session.run_id, ()):
            entry = self._lines[line].get(key)
            if entry is not None:
                # Of one that an earlier owner may have begun, the server's first answer says whether it has.
                if entry.waits or not entry.adopt:
                    self._end(entry, FailureKind.CANCELED, BEFORE_IT_STARTED)
                return True
        return False

    def forget(self, run_id: str) -> None:
        for line in self._of_run.pop(run_id, ()):
            del self._lines[line]

    def freed(self) -> None:
        """Attempts have ended, and their ends are committed: there may be slots."""
        if self._lines:
            self._changed.set()

    async def work(self) -> None:
        """Asks until cancelled."""
        retry = delays()
        # No retry of one call: the next try asks for what waits by then.
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                # Slots that were given back elsewhere are heard of by asking.
                await asyncio.wait_for(self._changed.wait(), _RECHECK_SECONDS if self._lines else None)
            self._changed.clear()
            every = self._clock() >= self._all_at + _ALL_EVERY_SECONDS
            if every:
                self._all_at = self._clock()
            asked = self._asked(every=every)
            try:
                for entries in _calls(asked):
                    await self._ask(entries, why=every)
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("slots of pools cannot be asked for: %s", error)
                await asyncio.sleep(next(retry))
                self._changed.set()
                continue
            retry = delays()

    def _asked(self, *, every: bool) -> list[list[_Entry]]:
        """Of each line."""
        asked = []
        for (_, _, gang), line in list(self._lines.items()):
            of_line = []
            for number, entry in enumerate(list(islice(line.values(), None if gang else _ASKED_OF_A_LINE))):
                if entry.node() is None:
                    self._drop(entry)
                elif every or number < _HEADS or not entry.waits:
                    of_line.append(entry)
            asked.append(of_line)
        return asked

    async def _ask(self, entries: list[_Entry], *, why: bool) -> None:
        answers = await self._client.take_slots(
            [
                pb.TakeSlotsRequest.Attempt(
                    run_id=entry.session.run_id,
                    fence=entry.session.fence,
                    path=entry.effect.path,
                    attempt=entry.effect.attempt,
                    demands=[pb.TakeSlotsRequest.Demand(pool=one.pool, slots=one.slots) for one in entry.demands],
                    adopt=entry.adopt,
                    gang=entry.line[2],
                    log_length=entry.session.next_sequence,
                )
                for entry in entries
            ],
            why=why,
        )
        for entry, answer in zip(entries, answers, strict=True):
            if self._lines.get(entry.line, {}).get(entry.key) is entry:
                self._answered(entry, answer)

    def _answered(self, entry: _Entry, answer: pb.TakeSlotsResponse.Answer) -> None:
        if answer.state == _Answer.STATE_GRANTED:
            self._drop(entry)
            # There may be more of its line to ask for; of a gang the others have theirs, too.
            self._changed.set()
            for other in self._lines.get(entry.line, {}).values() if entry.line[2] else ():
                other.waits = False
            if entry.told:
                self._waits(entry.session, entry.effect.path, "")
            self._launch(entry.session, entry.effect, entry.adopt)
        elif answer.state == _Answer.STATE_REFUSED:
            self._end(entry, FailureKind.CONFIGURATION, answer.text)
        elif answer.state == _Answer.STATE_WAITING:
            entry.waits = True
            node = entry.node()
            if node is not None and node.phase is TaskPhase.CANCELING:
                self._end(entry, FailureKind.CANCELED, BEFORE_IT_STARTED)
            elif answer.text:
                self._tell(entry, answer.text)

    def _tell(self, entry: _Entry, text: str) -> None:
        """Now and then only: how many wait before it changes all the time."""
        now = self._clock()
        if now < entry.since + _TOLD_AFTER_SECONDS or now < entry.told_at + _TOLD_EVERY_SECONDS or text == entry.told:
            return
        entry.told, entry.told_at = text, now
        self._waits(entry.session, entry.effect.path, text)

    def _end(self, entry: _Entry, failure: FailureKind, error: str) -> None:
        self._drop(entry)
        path, attempt = entry.key
        self._ended(entry.session, AttemptEnded(path, attempt, self._now(), failure=failure, error=error))

    def _drop(self, entry: _Entry) -> None:
        line = self._lines[entry.line]
        del line[entry.key]
        if not line:
            del self._lines[entry.line]
            of_run = self._of_run[entry.session.run_id]
            of_run.discard(entry.line)
            if not of_run:
                del self._of_run[entry.session.run_id]


def _calls(lines: Iterable[list[_Entry]]) -> Iterator[list[_Entry]]:
    """What is asked for at a time. A line is whole in it, so a gang is."""
    asked: list[_Entry] = []
    for line in lines:
        if len(asked) + len(line) > _ASKED_AT_ONCE:
            yield asked
            asked = []
        asked += line
    if asked:
        yield asked


def demands_of(node: ContainerNode, context: RunContext) -> tuple[Demand, ...]:
    """What the task asks for, and a slot of its run's pool unless it asks for that itself."""
    assert node.task is not None
    container = node.task.component.implementation
    own = container.slots if isinstance(container, ContainerExecutor) else ()
    if not context.pool or any(demand.pool == context.pool for demand in own):
        return own
    return (*own, Demand(context.pool, 1))
