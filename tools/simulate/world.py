"""A server and processes in virtual time, with everything that can go wrong between them and the executors.

What is modelled: the log of a run behind a fencing token; processes that outlive executors; messages late, twice, out
of order or lost; answers to commits that are lost after the commit; executors that die before a commit, between a
commit and its effects, or go on as if nothing had happened after another one took over (the lease was stolen, as when
the database's clock jumps); executors that stand still for longer than their lease and wake up; users who terminate and
retry runs. What an attempt left (its Pod) is removed when its outcome is committed, so that starting it again would run
it again; only where leases are stolen it stays, because there nothing but its name protects it.

Invariant: the seed decides everything. With `faults` off everything happens at once and in order: the reference.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import AttemptTimes
from penstock_executor.engine import names
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import ContainerNode, RunContext, RunState
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    CachedResult,
    FailureCause,
    FailureKind,
    Outputs,
    RetryRequested,
    TerminateRequested,
    decode,
    encode,
)
from penstock_ir.model import Component, JsonValue, ParameterType, Pipeline
from penstock_ir.task_rows import TaskState

from tools.simulate import invariants
from tools.simulate.executor import Executor

_MAX_STEPS = 200_000
_RELIST_MILLIS = 3_000
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to a run. `retries`: how often a run that failed is retried."""

    faults: bool = False
    terminate: bool = False
    fail_fast: bool = False
    deadline_millis: int = 0
    retries: int = 0


@dataclass(slots=True)
class Process:
    """One attempt's process: started once, ended once, whoever watches."""

    component: Component
    began_at: int
    live: bool = True
    canceled: bool = False
    outcome: AttemptEnded | None = None
    removed: bool = False
    watchers: list[Executor] = field(default_factory=list)


class World:
    """`outcome_seed` decides what tasks do, `random` when things happen."""

    def __init__(
        self,
        pipeline: Pipeline,
        outcome_seed: int,
        random: Random,
        plan: Plan,
        arguments: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self.context = RunContext(
            run_id="run",
            pipeline=pipeline,
            arguments={"x": 3} if arguments is None else arguments,
            root="file:///root",
            infrastructure_retries=3,
            fail_fast=plan.fail_fast,
            deadline_millis=plan.deadline_millis,
        )
        self.random = random
        self.plan = plan
        self.faults = plan.faults
        self.now = 1_000
        self.log: list[bytes] = []
        self.committed = RunState(self.context)
        self.ended: dict[Key, AttemptEnded] = {}
        self.attempts: dict[Key, pb.AttemptRow] = {}
        self.fence = 0
        self.finished = False
        self.terminate_requested = False
        self.processes: dict[Key, Process] = {}
        self.owner: Executor | None = None
        self._retries_left = plan.retries
        self._outcome_seed = outcome_seed
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._ticket = 0
        self._removes = True
        self._pauses: list[int] = []
        if plan.faults:
            for _ in range(random.choice([0, 1, 2, 4])):
                self.at(random.randint(0, 20_000), self.crash)
            if random.random() < 0.5:
                self._removes = False
                for _ in range(random.choice([1, 1, 2])):
                    self.at(random.randint(0, 20_000), self.claim)
            else:
                self._pauses = sorted(random.randint(0, 15_000) for _ in range(random.choice([0, 1, 2, 3])))
        self.claim()
        if plan.terminate:
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
            dead = self.owner
            dead.alive = False
            self.at(1 + self.delay(15_000), lambda: self.claim() if self.holds(dead) else None)

    def committed_something(self, executor: Executor) -> None:
        """Suspends the executor at the worst moment: between a commit and its effects."""
        if self._pauses and self._pauses[0] <= self.now and executor is self.owner:
            self._pauses.pop(0)
            executor.pause(self.random.choice([self.delay(10_000), 10_000 + self.delay(60_000)]))
            self._await_expiry(executor)

    def _await_expiry(self, executor: Executor) -> None:
        if not self.holds(executor) or not executor.alive:
            return
        left = executor.lease_until() - self.now
        if left <= 0:
            self.claim()
        else:
            self.at(left + self.delay(5_000), lambda: self._await_expiry(executor))

    def holds(self, executor: Executor) -> bool:
        return executor.fence == self.fence and not self.finished

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
        if self.terminate_requested and not self.finished and not (self.owner and self.owner.state.terminating):
            self.terminate()

    def commit(self, executor: Executor, first: int, events: list[bytes], rows: list[pb.AttemptRow]) -> bool | None:
        """False: fenced off. None: nobody learns what became of it."""
        if executor.fence != self.fence or self.finished:
            return False
        assert first <= len(self.log), "an executor reports events after a gap"
        ended = self._append(events[len(self.log) - first :])
        for row in rows:
            # What a row does not tell leaves what was told before, as where the server keeps it.
            self.attempts.setdefault((row.path, row.attempt), pb.AttemptRow()).MergeFrom(row)
        invariants.after_commit(self, {*ended, *((row.path, row.attempt) for row in rows)})
        return None if self.faults and self.random.random() < 0.05 else True

    def finish(self, executor: Executor) -> None:
        if self.finished or executor.fence != self.fence:
            return
        invariants.at_the_finish(self)
        assert self.committed.finished, "an executor finishes a run that the log does not end"
        self.finished = True
        root = self.committed.root
        if self._retries_left and root is not None and root.state is not TaskState.SUCCEEDED:
            self._retries_left -= 1
            executor.alive = False
            self.at(1_000, self._retry)

    def _retry(self) -> None:
        self.terminate_requested = False
        self.finished = False
        self._append([encode(RetryRequested(self.now))])
        self.claim()

    def _append(self, lines: list[bytes]) -> list[Key]:
        """The attempts that end with these events."""
        ended = []
        for line in lines:
            event = decode(line)
            if isinstance(event, AttemptEnded):
                ended.append((event.path, event.attempt))
                self.ended[ended[-1]] = event
            decision = apply(self.committed, event)
            assert decision.accepted, f"an event is committed that changes nothing: {line!r}"
            invariants.after_apply(self.committed, decision)
        self.log.extend(lines)
        return ended

    # --- processes -------------------------------------------------------------------------------------------------

    def launch(self, executor: Executor, key: Key, node: ContainerNode) -> None:
        assert node.task is not None
        process = self.processes.get(key)
        if process is None or process.removed:
            invariants.before_start(self, key)
            process = self.processes[key] = Process(node.task.component, self.now)
            if not self._hangs(key, node):
                self.at(1 + self.delay(5_000), lambda: self._end(key))
        process.watchers.append(executor)
        self._deliver(executor, AttemptStarted(key[0], key[1], self.now, "log"))
        if process.outcome is not None:
            self._deliver(executor, process.outcome)

    def _hangs(self, key: Key, node: ContainerNode) -> bool:
        """Some tasks never end by themselves, in runs that are certain to be terminated."""
        ended = self.plan.deadline_millis > 0 or (self.plan.terminate and not self.plan.retries)
        return ended and not node.exempt and self._draw(f"{key} hangs") % 10 == 0

    def release(self, key: Key) -> None:
        process = self.processes.get(key)
        if process is not None:
            assert not process.live, f"{key} is released and lives"
            process.removed = self._removes

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
        process.outcome = self._outcome(key, process)
        for executor in process.watchers:
            self._deliver(executor, process.outcome)

    def _told_times(self, event: AttemptStarted | AttemptEnded) -> AttemptTimes:
        """As the clocks of nodes and programs tell them, wrong ones among them."""
        key = (event.path, event.attempt)
        draw = self._draw(f"{key} clocks")
        off = (0, -700, 90_000, 2**62, -(2**62))[draw % 5 if self.faults else 0]
        began = self.processes[key].began_at
        finished = event.at + off // 2 if isinstance(event, AttemptEnded) else 0
        return AttemptTimes(placed=max(1, began - draw % 3_000), started=began + off, finished=finished)

    def _deliver(self, executor: Executor, event: AttemptStarted | AttemptEnded) -> None:
        times = self._told_times(event)
        chance = self.random.random() if self.faults else 1.0
        if chance < 0.05:
            # Lost. Whoever watches lists anew now and then, and sees how things are, not how they came about.
            if isinstance(event, AttemptEnded):
                self.at(self.delay(_RELIST_MILLIS), lambda: executor.deliver(event, times))
            return
        for _ in range(2 if chance < 0.2 else 1):
            self.at(self.delay(300), lambda: executor.deliver(event, times))

    def _outcome(self, key: Key, process: Process) -> AttemptEnded:
        path, attempt = key
        draw = self._draw(f"{path}#{attempt}")
        if process.canceled:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.CANCELED)
        if draw % 100 < 15:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.USER, exit_code=1, error="on purpose")
        if draw % 100 < 20:
            return AttemptEnded(path, attempt, self.now, failure=FailureKind.INFRASTRUCTURE, error="the host went away")
        if draw % 100 < 28:
            lost, why = FailureKind.INFRASTRUCTURE, FailureCause.PREEMPTED
            return AttemptEnded(path, attempt, self.now, failure=lost, cause=why, error="others came first")
        artifact = names.artifact_name("run", path, attempt, "port")
        return AttemptEnded(path, attempt, self.now, exit_code=0, outputs=_outputs(process.component, draw, artifact))

    def cached(self, fingerprint: str, component: Component) -> CachedResult | None:
        draw = self._draw(fingerprint)
        if draw % 100 >= 30:
            return None
        return CachedResult(_outputs(component, draw, fingerprint), "earlier", "t0", 7)

    def _draw(self, text: str) -> int:
        return zlib.crc32(f"{self._outcome_seed}/{text}".encode())


def _outputs(component: Component, draw: int, name: str) -> Outputs:
    """Values of the declared kinds that follow from the draw."""
    number = draw // 100 % 10
    values: dict[ParameterType, Any] = {
        ParameterType.NUMBER_INTEGER: number,
        ParameterType.NUMBER_DOUBLE: number + 0.5,
        ParameterType.STRING: f"text {number}",
        ParameterType.BOOLEAN: number % 2 == 0,
        ParameterType.LIST: list(range(number % 4)),
        ParameterType.STRUCT: {"a": number},
    }
    return Outputs(
        {key: values[definition.type] for key, definition in component.output_parameters.items()},
        {
            port: (Artifact(name=f"{name}/{port}", type=definition.schema_title, uri=f"file:///root/{name}/{port}"),)
            for port, definition in component.output_artifacts.items()
        },
    )
