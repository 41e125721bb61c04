"""A server, executors and processes in virtual time, with everything that can go wrong between them.

What is modelled: the log of a run behind a fencing token; executors that commit in groups and act after the commit;
processes that outlive executors; messages late, twice and out of order; executors that die before a commit, between a
commit and its effects, or go on as if nothing had happened after another one took over (the lease was stolen).

Invariant: the seed decides everything. With `faults` off everything happens at once and in order: the reference.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from penstock_executor.backends.base import FailureKind
from penstock_executor.engine.effects import Cancel, Effect, FinishRun, Launch, LookUpCache, Wake
from penstock_executor.engine.events import (
    AttemptEnded,
    AttemptStarted,
    BackoffElapsed,
    CacheAnswered,
    CachedResult,
    Event,
    Outputs,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_executor.engine.machine import apply, outstanding
from penstock_executor.engine.state import Phase, RunContext, RunState
from penstock_ir.model import Pipeline

from tests.simulation import invariants

_MAX_STEPS = 200_000
Key = tuple[str, int]


@dataclass(slots=True)
class Process:
    """One attempt's process: started once, ended once, whoever watches."""

    live: bool = True
    canceled: bool = False
    outcome: AttemptEnded | None = None
    watchers: list[Executor] = field(default_factory=list)


class World:
    """`outcome_seed` decides what tasks do, `random` when things happen."""

    def __init__(self, pipeline: Pipeline, outcome_seed: int, random: Random, *, faults: bool, terminate: bool) -> None:
        self.context = RunContext(
            run_id="run", pipeline=pipeline, arguments={"x": 3}, root="file:///root", infrastructure_retries=3
        )
        self.random = random
        self.faults = faults
        self.now = 1_000
        self.log: list[bytes] = []
        self.fence = 0
        self.finished = False
        self.terminate_requested = False
        self.processes: dict[Key, Process] = {}
        self.owner: Executor | None = None
        self._outcome_seed = outcome_seed
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._ticket = 0
        self.claim()
        if faults:
            for _ in range(random.choice([0, 1, 2, 4])):
                self.at(random.randint(0, 20_000), self.crash)
            for _ in range(random.choice([0, 0, 1, 2])):
                self.at(random.randint(0, 20_000), self.claim)
        if terminate:
            self.at(random.randint(0, 15_000), self.terminate)

    # --- time ------------------------------------------------------------------------------------------------------

    def at(self, delay: int, action: Callable[[], None]) -> None:
        self._ticket += 1
        # Among equals the order is random too, but always the same for a seed.
        tie = self.random.randint(0, 1_000_000) if self.faults else self._ticket
        heapq.heappush(self._agenda, (self.now + delay, tie * 1_000_000 + self._ticket, action))

    def delay(self, longest: int) -> int:
        return self.random.randint(0, longest) if self.faults else 0

    def run(self) -> RunState:
        """Until nothing is left to happen; the final state, rebuilt from the log. Raises AssertionError."""
        for _ in range(_MAX_STEPS):
            if not self._agenda:
                break
            when, _, action = heapq.heappop(self._agenda)
            self.now = max(self.now, when)
            action()
        assert not self._agenda, "the run does not come to an end"
        return invariants.at_the_end(self)

    # --- the server ------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """A new executor takes the run; the one before, if it lives, does not know yet."""
        if self.finished:
            return
        self.fence += 1
        self.owner = Executor(self, self.fence)
        self.owner.begin()

    def crash(self) -> None:
        if self.owner is not None and not self.finished:
            self.owner.alive = False
            self.at(1 + self.delay(15_000), self.claim)

    def terminate(self) -> None:
        """The wish is the server's; owners hear of it with a heartbeat, which may come late."""
        if self.finished:
            return
        self.terminate_requested = True
        owner = self.owner
        if owner is not None and owner.alive and not owner.state.terminating:
            owner.deliver(TerminateRequested(self.now))
        self.at(1_000, self._remind)

    def _remind(self) -> None:
        if not self.finished and (self.owner is None or not self.owner.state.terminating):
            self.terminate()

    def commit(self, executor: Executor, events: list[bytes]) -> bool:
        if executor.fence != self.fence or self.finished:
            return False
        self.log.extend(events)
        return True

    # --- processes -------------------------------------------------------------------------------------------------

    def launch(self, executor: Executor, key: Key) -> None:
        process = self.processes.get(key)
        if process is None:
            invariants.before_start(self, key)
            process = self.processes[key] = Process()
            self.at(1 + self.delay(5_000), lambda: self._end(key))
        process.watchers.append(executor)
        self._tell(executor, AttemptStarted(key[0], key[1], self.now, "log"))
        if process.outcome is not None:
            self._tell(executor, process.outcome)

    def cancel(self, key: Key) -> None:
        process = self.processes.get(key)
        if process is not None and process.live:
            process.canceled = True
            self.at(self.delay(2_000), lambda: self._end(key))

    def _end(self, key: Key) -> None:
        process = self.processes[key]
        if not process.live:
            return
        process.live = False
        process.outcome = self._outcome(key, canceled=process.canceled)
        for executor in process.watchers:
            self._tell(executor, process.outcome)

    def _tell(self, executor: Executor, event: Event) -> None:
        for _ in range(2 if self.faults and self.random.random() < 0.2 else 1):
            self.at(self.delay(300), lambda: executor.deliver(event))

    def _outcome(self, key: Key, *, canceled: bool) -> AttemptEnded:
        path, attempt = key
        draw = self._draw(f"{path}#{attempt}")
        if canceled:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.CANCELED)
        if draw % 100 < 15:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.USER, exit_code=1, error="on purpose")
        if draw % 100 < 20:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.INFRASTRUCTURE, error="the host went away")
        return AttemptEnded(path, attempt, self.now, exit_code=0, outputs=Outputs({"Output": draw // 100 % 10}))

    def cached(self, fingerprint: str) -> CachedResult | None:
        draw = self._draw(fingerprint)
        return CachedResult(Outputs({"Output": draw // 100 % 10}), "earlier", "t0", 7) if draw % 100 < 30 else None

    def _draw(self, text: str) -> int:
        return zlib.crc32(f"{self._outcome_seed}/{text}".encode())


class Executor:
    """The engine's shell, reduced to what matters for its guarantees."""

    def __init__(self, world: World, fence: int) -> None:
        self.fence = fence
        self.alive = True
        self.state = RunState(world.context)
        self._world = world
        self._events: list[bytes] = []
        self._effects: list[Effect] = []
        self._committing = False
        self._adopting = False

    def begin(self) -> None:
        """Rebuilds the state from the log and goes on from there."""
        for line in self._world.log:
            apply(self.state, decode(line))
        if not self._world.log:
            self.deliver(RunStarted(self._world.now))
            return
        self._adopting = True
        for effect in outstanding(self.state):
            self._take(effect)
        if self._world.terminate_requested and not self.state.terminating:
            self.deliver(TerminateRequested(self._world.now))
        self._soon()

    def deliver(self, event: Event) -> None:
        if not self.alive:
            return
        decision = apply(self.state, event)
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
        hit = self._world.cached(effect.fingerprint)
        self.deliver(CacheAnswered(effect.path, effect.fingerprint, self._world.now, hit))

    def _soon(self) -> None:
        if not self._committing:
            self._committing = True
            self._world.at(self._world.delay(50), self._commit)

    def _commit(self) -> None:
        self._committing = False
        if not self.alive:
            return
        events, self._events = self._events, []
        effects, self._effects = self._effects, []
        if not self._world.commit(self, events):
            self.alive = False
            return
        adopting, self._adopting = self._adopting, False
        # The answer takes its time: the executor may die between the commit and what follows from it.
        self._world.at(self._world.delay(100), lambda: self._act(effects, adopting))

    def _act(self, effects: list[Effect], adopting: bool) -> None:
        if not self.alive:
            return
        for effect in effects:
            if isinstance(effect, Launch):
                self._launch(effect, adopting)
            elif isinstance(effect, Cancel):
                self._world.cancel((effect.path, effect.attempt))
            elif isinstance(effect, Wake):
                self._wake(effect)
            elif isinstance(effect, FinishRun) and self.fence == self._world.fence:
                invariants.at_the_finish(self._world)
                self._world.finished = True

    def _launch(self, effect: Launch, adopting: bool) -> None:
        node = self.state.open_tasks.get(effect.path)
        if node is None or node.attempt != effect.attempt or node.phase not in (Phase.LAUNCHED, Phase.CANCELING):
            return
        key = (effect.path, effect.attempt)
        canceling = node.phase is Phase.CANCELING
        if canceling and not adopting and key not in self._world.processes:
            self.deliver(AttemptEnded(*key, self._world.now, failure=FailureKind.CANCELED))
            return
        self._world.launch(self, key)
        if canceling:
            self._world.cancel(key)

    def _wake(self, effect: Wake) -> None:
        event = BackoffElapsed(effect.path, effect.attempt, max(effect.at, self._world.now))
        for late in (0, self._world.delay(1_000)) if self._world.faults else (0,):
            self._world.at(max(0, effect.at - self._world.now) + late, lambda: self.deliver(event))
