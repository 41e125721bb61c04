"""The engine's shell, reduced to what matters for its guarantees: group commits, effects after them, adoption.

Invariant: as the real one, it carries an effect out only after the event that caused it is committed and while its
lease is certain, and resends a report whose answer it did not get. It may be suspended at any moment (`pause`)
and continues later with the state it had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.dispatch.attempt_rows import AttemptRows
from penstock_executor.dispatch.leases import Leases
from penstock_executor.engine import machine
from penstock_executor.engine.effects import Cancel, Effect, FinishRun, Launch, LookUpCache, Release, Wake, WakeRun
from penstock_executor.engine.state import RunState
from penstock_ir.event_log import (
    AttemptEnded,
    BackoffElapsed,
    CacheAnswered,
    DeadlineExceeded,
    Event,
    FailureKind,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_ir.task_rows import TaskPhase

from tools.simulate import invariants

if TYPE_CHECKING:
    from tools.simulate.world import World

LEASE_MILLIS = 15_000
_HEARTBEAT_MILLIS = 1_000
_RUN = "run"
_ROWS = 3
"""So few rows of attempts that were only asked for fit into a report, so that some have to wait."""


class Executor:
    def __init__(self, world: World, fence: int) -> None:
        self.fence = fence
        self.alive = True
        self.state = RunState(world.context)
        self._world = world
        self._next_sequence = 0
        self._events: list[bytes] = []
        self._effects: list[Effect] = []
        self._attempts = AttemptRows()
        self._sent: tuple[int, list[bytes], list[Effect], list[pb.AttemptRow], bool] | None = None
        self._committing = False
        self._adopting = False
        self._beating: int | None = None
        self._leases = Leases(lambda: (self._world.now if self._beating is None else self._beating) / 1000)
        self._leases.granted([_RUN], world.now / 1000, LEASE_MILLIS / 1000)
        self._renewed_at = self._beaten_at = world.now
        self._asleep_until = 0
        self._renews = True
        self._suspended: list[tuple[Launch | Cancel, bool]] = []
        self._renew()

    def begin(self) -> None:
        """Rebuilds the state from the log and goes on from there."""
        launched: dict[str, int] = {}
        for line in self._world.log:
            event = decode(line)
            effects = machine.apply(self.state, event).effects
            launched.update((effect.path, event.at) for effect in effects if isinstance(effect, Launch))
        self._next_sequence = len(self._world.log)
        if not self._world.log:
            self.deliver(RunStarted(self._world.now))
            return
        self._adopting = True
        for effect in machine.outstanding(self.state):
            self._queue_effect(effect)
            if isinstance(effect, Launch):
                self._attempts.asked([effect], launched[effect.path])
        if self._world.terminate_requested and not self.state.terminating:
            self.deliver(TerminateRequested(self._world.now))
        self._soon()

    # --- its lease -------------------------------------------------------------------------------------------------

    def pause(self, millis: int) -> None:
        self._renew()
        self._renews = False
        self._asleep_until = self._world.now + millis
        self._later(millis + self._world.delay(2_000), self._heartbeat)

    def lease_until(self) -> int:
        """When the server ends its lease, unless it is renewed."""
        self._renew()
        return self._renewed_at + LEASE_MILLIS

    def when_awake(self, action: Callable[[], None]) -> None:
        left = self._asleep_until - self._world.now
        if left > 0:
            self._world.at(left + self._world.delay(200), lambda: self.when_awake(action))
        elif self.alive:
            action()

    def _later(self, delay: int, action: Callable[[], None]) -> None:
        self._world.at(delay, lambda: self.when_awake(action))

    def _renew(self) -> None:
        """An executor that is not suspended has sent a heartbeat each second, unless it lost the run. The server's end
        of the lease moves with those that ask for it."""
        if not self._renews:
            return
        latest = self._world.now // _HEARTBEAT_MILLIS * _HEARTBEAT_MILLIS
        # Those of more than a lease ago decide nothing any more.
        first = max(self._beaten_at // _HEARTBEAT_MILLIS * _HEARTBEAT_MILLIS + _HEARTBEAT_MILLIS, latest - LEASE_MILLIS)
        for beat in range(first, latest + 1, _HEARTBEAT_MILLIS):
            self._beating = beat
            renewal = self._leases.renewal()
            if _RUN in renewal.run_ids:
                self._renewed_at = beat
            self._leases.renewed(renewal, [_RUN], LEASE_MILLIS / 1000)
        self._beating = None
        self._beaten_at = self._world.now

    def _heartbeat(self) -> None:
        """The first answer after a sleep."""
        if not self._world.holds(self):
            self.alive = False
        self._renews = True
        suspended, self._suspended = self._suspended, []
        for effect, adopting in suspended:
            self._carry_out(effect, adopting)

    # --- its work --------------------------------------------------------------------------------------------------

    def deliver(self, event: Event, times: AttemptTimes = NO_TIMES) -> None:
        self.when_awake(lambda: self._deliver(event, times))

    def _deliver(self, event: Event, times: AttemptTimes) -> None:
        decision = machine.apply(self.state, event)
        invariants.after_apply(self.state, decision)
        if not decision.accepted:
            return
        self._events.append(encode(event))
        self._attempts.asked(decision.effects, max(self._world.now, event.at))
        self._attempts.note(event, self._world.now, times)
        for effect in decision.effects:
            self._queue_effect(effect)
        self._soon()

    def _queue_effect(self, effect: Effect) -> None:
        if isinstance(effect, LookUpCache):
            self._later(self._world.delay(200), lambda: self._answer(effect))
        else:
            self._effects.append(effect)

    def _answer(self, effect: LookUpCache) -> None:
        node = self.state.open_tasks.get(effect.path)
        if node is not None and node.task is not None:
            hit = self._world.cached(effect.fingerprint, node.task.component)
            self.deliver(CacheAnswered(effect.path, effect.fingerprint, self._world.now, hit))

    def _soon(self) -> None:
        if not self._committing:
            self._committing = True
            self._later(self._world.delay(50), self._commit)

    def _commit(self) -> None:
        self._committing = False
        if self._sent is None:
            rows = self._attempts.take(_ROWS)
            self._sent = (self._next_sequence, self._events, self._effects, rows, self._adopting)
            self._events, self._effects, self._adopting = [], [], False
        first, events, effects, rows, adopting = self._sent
        outcome = self._world.commit(self, first, events, rows)
        if outcome is False:
            self.alive = False
            return
        if outcome is None:
            self._soon()
            return
        self._sent = None
        self._next_sequence = first + len(events)
        # The answer takes its time: the executor may die or sleep between the commit and what follows from it.
        self._later(self._world.delay(100), lambda: self._act(effects, adopting))
        self._world.committed_something(self)
        if self._events or self._effects or self._attempts:
            self._soon()

    def _act(self, effects: list[Effect], adopting: bool) -> None:
        for effect in effects:
            if isinstance(effect, (Launch, Cancel)):
                self._carry_out(effect, adopting)
            elif isinstance(effect, Release):
                # Its outcome is committed: nobody needs the attempt any more, whoever holds the run.
                self._world.release((effect.path, effect.attempt))
            elif isinstance(effect, Wake):
                self._wake(effect.at, BackoffElapsed(effect.path, effect.attempt, max(effect.at, self._world.now)))
            elif isinstance(effect, WakeRun):
                self._wake(effect.at, DeadlineExceeded(max(effect.at, self._world.now)))
            elif isinstance(effect, FinishRun):
                self._world.finish(self)

    def _carry_out(self, effect: Launch | Cancel, adopting: bool) -> None:
        self._renew()
        if not self.alive:
            return
        if not self._leases.certain(_RUN):
            self._suspended.append((effect, adopting))
        elif isinstance(effect, Launch):
            self._launch(effect, adopting)
        else:
            self._world.cancel((effect.path, effect.attempt))

    def _launch(self, effect: Launch, adopting: bool) -> None:
        node = self.state.open_tasks.get(effect.path)
        if (
            node is None
            or node.attempt != effect.attempt
            or node.phase not in (TaskPhase.LAUNCHED, TaskPhase.CANCELING)
        ):
            return
        key = (effect.path, effect.attempt)
        canceling = node.phase is TaskPhase.CANCELING
        if canceling and not adopting and key not in self._world.processes:
            self.deliver(AttemptEnded(*key, self._world.now, failure=FailureKind.CANCELED))
            return
        self._world.launch(self, key, node)
        if canceling:
            self._world.cancel(key)

    def _wake(self, at: int, event: Event) -> None:
        for late in (0, self._world.delay(1_000)) if self._world.faults else (0,):
            self._world.at(max(0, at - self._world.now) + late, lambda: self.deliver(event))
