"""The engine's shell, reduced to what matters for its guarantees: group commits, effects after them, adoption.

Invariant: as the real one, it carries an effect out only after the event that caused it is committed, and resends a
report whose answer it did not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock_executor.backends.base import FailureKind
from penstock_executor.engine import machine
from penstock_executor.engine.effects import Cancel, Effect, FinishRun, Launch, LookUpCache, Wake, WakeRun
from penstock_executor.engine.events import (
    AttemptEnded,
    BackoffElapsed,
    CacheAnswered,
    DeadlineExceeded,
    Event,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_executor.engine.state import Phase, RunState

from tests.simulation import invariants

if TYPE_CHECKING:
    from tests.simulation.world import World


class Executor:
    def __init__(self, world: World, fence: int) -> None:
        self.fence = fence
        self.alive = True
        self.state = RunState(world.context)
        self._world = world
        self._next_sequence = 0
        self._events: list[bytes] = []
        self._effects: list[Effect] = []
        self._sent: tuple[int, list[bytes], list[Effect], bool] | None = None
        self._committing = False
        self._adopting = False

    def begin(self) -> None:
        """Rebuilds the state from the log and goes on from there."""
        for line in self._world.log:
            machine.apply(self.state, decode(line))
        self._next_sequence = len(self._world.log)
        if not self._world.log:
            self.deliver(RunStarted(self._world.now))
            return
        self._adopting = True
        for effect in machine.outstanding(self.state):
            self._take(effect)
        if self._world.terminate_requested and not self.state.terminating:
            self.deliver(TerminateRequested(self._world.now))
        self._soon()

    def deliver(self, event: Event) -> None:
        if not self.alive:
            return
        decision = machine.apply(self.state, event)
        invariants.after_apply(self.state, decision)
        if not decision.accepted:
            return
        self._events.append(encode(event))
        for effect in decision.effects:
            self._take(effect)
        self._soon()

    def _take(self, effect: Effect) -> None:
        if isinstance(effect, LookUpCache):
            self._world.at(self._world.delay(200), lambda: self._answer(effect))
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
            self._world.at(self._world.delay(50), self._commit)

    def _commit(self) -> None:
        self._committing = False
        if not self.alive:
            return
        if self._sent is None:
            self._sent = (self._next_sequence, self._events, self._effects, self._adopting)
            self._events, self._effects, self._adopting = [], [], False
        first, events, effects, adopting = self._sent
        outcome = self._world.commit(self, first, events)
        if outcome is False:
            self.alive = False
            return
        if outcome is None:
            self._soon()
            return
        self._sent = None
        self._next_sequence = first + len(events)
        # The answer takes its time: the executor may die between the commit and what follows from it.
        self._world.at(self._world.delay(100), lambda: self._act(effects, adopting))
        if self._events or self._effects:
            self._soon()

    def _act(self, effects: list[Effect], adopting: bool) -> None:
        if not self.alive:
            return
        for effect in effects:
            if isinstance(effect, Launch):
                self._launch(effect, adopting)
            elif isinstance(effect, Cancel):
                self._world.cancel((effect.path, effect.attempt))
            elif isinstance(effect, Wake):
                self._wake(effect.at, BackoffElapsed(effect.path, effect.attempt, max(effect.at, self._world.now)))
            elif isinstance(effect, WakeRun):
                self._wake(effect.at, DeadlineExceeded(max(effect.at, self._world.now)))
            elif isinstance(effect, FinishRun):
                self._world.finish(self)

    def _launch(self, effect: Launch, adopting: bool) -> None:
        node = self.state.open_tasks.get(effect.path)
        if node is None or node.attempt != effect.attempt or node.phase not in (Phase.LAUNCHED, Phase.CANCELING):
            return
        key = (effect.path, effect.attempt)
        canceling = node.phase is Phase.CANCELING
        if canceling and not adopting and key not in self._world.processes:
            self.deliver(AttemptEnded(*key, self._world.now, failure=FailureKind.CANCELED))
            return
        self._world.launch(self, key, node)
        if canceling:
            self._world.cancel(key)

    def _wake(self, at: int, event: Event) -> None:
        for late in (0, self._world.delay(1_000)) if self._world.faults else (0,):
            self._world.at(max(0, at - self._world.now) + late, lambda: self.deliver(event))
