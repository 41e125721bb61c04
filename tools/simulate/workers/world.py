"""Runs whose attempts warm workers take, while executors, agents, Pods, nodes, streams and the way to the server fail.

What is modelled besides: a server that gives runs to executors with fencing tokens and commits what the holder of a
run reports; launches that follow one another; attempts that fail, run out of memory, or are cancelled; retries of those
that were lost.

Invariants: an attempt's program begins once at most, wherever that is; every attempt that was launched ends, and how it
ended is how its program ended. The seed decides everything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from penstock_executor.attempts import AttemptKey, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.engine.names import attempt_id
from penstock_ir.event_log import FailureKind

from tools.sim_kube.fake_program import VARIABLE
from tools.sim_kube.outcome import Outcome
from tools.simulate.workers.cluster import ATTEMPT, Cluster
from tools.simulate.workers.executor import POLICIES, Held, SimExecutor
from tools.simulate.workers.virtual_time import VirtualTimeLoop

LEASE_SECONDS = 15.0
_CERTAIN = 0.95
_AT_ONCE = 4
_MOST_SECONDS = 40_000.0
_MOST_ATTEMPTS = 60
_QUIET_SECONDS = 300.0, 4000.0
"""Until workers have gone that have nothing to tell; and longer than an agent waits for whoever takes its results."""
_FAULTS = (
    *("kill executor", "away", "away", "cut", "cut", "cut off", "agent", "main", "delete", "node", "cancel"),
    *("policy", "quota", "no room", "freeze", "agent and executor"),
)


@dataclass
class _Task:
    """One task of a run. `number` counts its attempts from 1; 0: nothing was launched."""

    outcome: Outcome
    number: int = 0
    started: bool = False
    over: bool = False
    canceled: bool = False
    ends: list[FailureKind | None] = field(default_factory=list)


@dataclass
class _Run:
    """What the server has of a run."""

    run_id: str
    tasks: dict[str, _Task]
    fence: int = 0
    holder: SimExecutor | None = None
    lease_until: float = -1.0

    @property
    def over(self) -> bool:
        return all(task.over for task in self.tasks.values())


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(f"workers {seed}")
        self.cluster = Cluster(Random(f"cluster {seed}"))
        self.executors: list[SimExecutor] = []
        self.runs = {name: self._run(name) for name in (f"run-{n}" for n in range(self.random.randint(1, 4)))}
        self.policy = POLICIES[0]
        self._made = 0
        self._last: dict[SimExecutor, float] = {}
        self._news: dict[SimExecutor, deque[Callable[[], Any]]] = {}
        kinds = sorted(set(_FAULTS))
        some = set(self.random.sample(kinds, self.random.randint(2, len(kinds))))
        self.kinds = [kind for kind in _FAULTS if kind in some]
        """Of faults in this run. With all of them in each, one hides what another leads to."""
        self.pause = self.random.choice((2.0, 8.0))
        """Seconds between two faults, on average."""
        self.slow = self.random.random() < 0.3
        """Whether it takes the server seconds to commit anything."""
        self.faults: list[str] = []
        self.broken: list[str] = []

    def _run(self, run_id: str) -> _Run:
        tasks = {f"t{number}": _Task(self._outcome()) for number in range(self.random.randint(1, 10))}
        return _Run(run_id, tasks)

    def _outcome(self) -> Outcome:
        chosen = self.random.random()
        seconds = self.cluster.duration()
        if chosen < 0.1:
            return Outcome(exit_code=3, seconds=seconds)
        return Outcome("oom" if chosen < 0.13 else "exit", seconds=seconds)

    # --- what executors ask of the server --------------------------------------------------------------------------

    def attempt(self, key: AttemptKey) -> tuple[str, Outcome]:
        """The name of an attempt, and what becomes of it."""
        return f"{key.run_id}/{key.path}/{key.attempt}", self.runs[key.run_id].tasks[key.path].outcome

    def lost(self, key: AttemptKey) -> TaskOutcome:
        return TaskOutcome(key, 1, 1, failure=FailureKind.INFRASTRUCTURE, error="it is gone")

    def outcome_of_own_pod(self, key: AttemptKey, outcome: Outcome) -> TaskOutcome:
        failed = outcome.exit_code or outcome.kind != "exit"
        return TaskOutcome(key, 1, 1, failure=FailureKind.USER if failed else None)

    async def commit(self, executor: SimExecutor, event: TaskStarted | TaskOutcome) -> None:
        """Until the server has answered."""
        while True:
            await asyncio.sleep(self.random.uniform(0.0, 12.0) if self.slow else self.cluster.delay(5.0))
            if not executor.away:
                break
        run, key = self.runs[event.key.run_id], event.key
        held = executor.held.get(key.run_id)
        if held is None or run.fence != held.fence:
            executor.lose(key.run_id)
            return
        task = run.tasks[key.path]
        if task.number != key.attempt or task.over:
            return
        if isinstance(event, TaskStarted):
            task.started = True
            held.started.add(key)
            return
        task.ends.append(event.failure)
        try:
            self._check_end(key, task, event)
        except AssertionError as error:
            self.broken.append(str(error))
        executor.released(key)
        if event.failure is FailureKind.INFRASTRUCTURE and not task.canceled:
            if task.number >= _MOST_ATTEMPTS:
                self.broken.append(f"{key.run_id}/{key.path} is lost again and again")
                return
            self._launch(executor, run, key.path)
        else:
            task.over = True
            self._go_on(executor, run)
        # The Pod of its own goes when its outcome is committed.
        self.cluster.own_pods.pop(_pod_name(key), None)

    def _check_end(self, key: AttemptKey, task: _Task, event: TaskOutcome) -> None:
        name, outcome = self.attempt(key)
        if event.failure is None:
            assert outcome.kind == "exit" and not outcome.exit_code, f"{name} has not ended well"
            assert self.cluster.begins[name] == 1, f"{name} was never begun"
        elif event.failure is FailureKind.USER:
            assert outcome.exit_code or outcome.kind == "oom", f"{name} failed by itself: {event.error}"
        elif event.failure is FailureKind.CANCELED:
            assert task.canceled, f"{name} was cancelled by nobody"
        else:
            assert event.failure is FailureKind.INFRASTRUCTURE, f"{name}: {event.failure} {event.error}"

    # --- what the server does --------------------------------------------------------------------------------------

    def _launch(self, executor: SimExecutor, run: _Run, path: str) -> None:
        task = run.tasks[path]
        task.number += 1
        task.started = False
        executor.launch(self._task(run, path, may_exist=False))

    def _task(self, run: _Run, path: str, *, may_exist: bool) -> TaskLaunch:
        task = run.tasks[path]
        key = AttemptKey(run.run_id, path, task.number)
        name, outcome = self.attempt(key)
        told = {"kind": outcome.kind, "exit_code": outcome.exit_code, "seconds": outcome.seconds}
        return TaskLaunch(
            key=key, task_name=path, pipeline_name="p", image="image", command=("true",), args=(),
            env=((ATTEMPT, name), (VARIABLE, json.dumps(told))),
            task_root=f"s3://bucket/root/p/{run.run_id}/{path}/{attempt_id(run.run_id, path, task.number)}",
            inputs={}, defaults={}, input_artifacts={}, input_artifact_definitions={}, output_parameters={},
            output_artifacts={}, namespace="team", pod_name=_pod_name(key),
            may_exist=may_exist, seen_running=may_exist and task.started,
        )  # fmt: skip

    def _go_on(self, executor: SimExecutor, run: _Run) -> None:
        under_way = sum(task.number > 0 and not task.over for task in run.tasks.values())
        for path, task in run.tasks.items():
            if under_way < _AT_ONCE and not task.number:
                under_way += 1
                self._launch(executor, run, path)

    async def _serve(self, executor: SimExecutor) -> None:
        """Heartbeats and claims of one executor."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.5)
            sent = loop.time()
            await asyncio.sleep(self.cluster.delay(2.0))
            if executor.away:
                continue
            for run in self.runs.values():
                held = executor.held.get(run.run_id)
                if held is not None and held.fence == run.fence:
                    run.lease_until = loop.time() + LEASE_SECONDS
                    held.certain_until = sent + LEASE_SECONDS * _CERTAIN
                elif held is not None:
                    executor.lose(run.run_id)
                elif run.lease_until < loop.time() and not run.over and self.random.random() < 0.5:
                    self._claim(executor, run, sent)

    def _claim(self, executor: SimExecutor, run: _Run, sent: float) -> None:
        loop = asyncio.get_running_loop()
        run.fence += 1
        run.holder, run.lease_until = executor, loop.time() + LEASE_SECONDS
        executor.held[run.run_id] = Held(run.fence, sent + LEASE_SECONDS * _CERTAIN)
        for path, task in run.tasks.items():
            if task.number and not task.over:
                if task.started:
                    executor.held[run.run_id].started.add(AttemptKey(run.run_id, path, task.number))
                executor.launch(self._task(run, path, may_exist=True), cancel=task.canceled)
        self._go_on(executor, run)

    # --- faults ----------------------------------------------------------------------------------------------------

    def later_in_order(self, executor: SimExecutor, act: Callable[[], Any]) -> None:
        """What a watch tells an executor."""
        loop = asyncio.get_running_loop()
        at = max(self._last.get(executor, 0.0), loop.time() + self.cluster.delay(5.0))
        self._last[executor] = at
        # Timers of one moment have no order.
        waiting = self._news.setdefault(executor, deque())
        waiting.append(act)
        loop.call_at(at, lambda: waiting.popleft()() if executor.alive else None)

    def _begin_executor(self) -> None:
        self._made += 1
        executor = SimExecutor(self, self.cluster, f"e{self._made}")
        self.executors.append(executor)
        executor.begin(self._serve(executor))

    def _fault(self) -> None:
        pods = [pod for pod in self.cluster.workers.values() if pod.runs]
        living = [one for one in self.executors if one.alive]
        kind = self.random.choice(self.kinds)
        self.faults.append(f"{asyncio.get_running_loop().time():.1f} {kind}")
        loop = asyncio.get_running_loop()
        if kind == "kill executor":
            self._kill(self.random.choice(living))
        elif kind == "away":
            executor = self.random.choice(living)
            executor.away = True
            loop.call_later(self.random.uniform(1, 60), setattr, executor, "away", False)
        elif kind == "cut off":
            executor = self.random.choice(living)
            executor.cut_off = True
            for pipe in list(executor.pipes):
                pipe.cut()
            loop.call_later(self.random.uniform(1, 200), setattr, executor, "cut_off", False)
        elif kind == "cancel":
            self._cancel()
        elif kind == "policy":
            self.policy = self.random.choice(POLICIES)
        elif kind == "quota":
            self.cluster.full_until = loop.time() + self.random.uniform(1, 200)
        elif kind == "no room":
            self.cluster.without_room_until = loop.time() + self.random.uniform(1, 200)
        elif kind == "freeze":
            # It loses its leases, and its streams stay as they are: nobody tells an agent. Its clocks go on, so what
            # the cluster says may not be later than whoever judges an end waits for it.
            executor = self.random.choice(living)
            executor.away = True
            seconds = self.random.uniform(1, 100)
            self._last[executor] = max(self._last.get(executor, 0.0), loop.time() + min(seconds, 4.0))
            for pipe in list(executor.pipes):
                pipe.stall(seconds)
            loop.call_later(seconds, setattr, executor, "away", False)
        elif kind == "agent and executor" and pods:
            # Before everything of the agent's end is known and done.
            self.random.choice(pods).kill_agent()
            loop.call_later(self.random.uniform(3, 9), self._kill, self.random.choice(living))
        elif pods:
            pod = self.random.choice(pods)
            {"cut": pod.cut, "agent": pod.kill_agent, "main": pod.kill, "delete": pod.vanish, "node": pod.lose_node}[
                kind
            ]()

    def _kill(self, executor: SimExecutor) -> None:
        """And begins another one in its place."""
        if executor.alive:
            executor.kill()
            asyncio.get_running_loop().call_later(self.random.uniform(0, 20), self._begin_executor)

    def _cancel(self) -> None:
        """One attempt that is under way, by who holds its run; the holders after it do so, too."""
        for run in self.runs.values():
            for path, task in run.tasks.items():
                if task.number and not task.over and not task.canceled:
                    task.canceled = True
                    if run.holder is not None:
                        run.holder.cancel(AttemptKey(run.run_id, path, task.number))
                    return

    async def run(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self._begin_executor()
        faults = self.random.randint(0, 12)
        loop = asyncio.get_running_loop()
        while not all(run.over for run in self.runs.values()):
            await asyncio.sleep(self.random.expovariate(1 / self.pause))
            if faults and any(one.alive for one in self.executors):
                faults -= 1
                self._fault()
            twice = {name: count for name, count in self.cluster.begins.items() if count > 1}
            assert not twice, f"begun twice: {twice}"
            assert not self.broken, self.broken
            assert loop.time() < _MOST_SECONDS, f"not over: {self._left()}"
        await self._nobody_stays()
        for executor in self.executors:
            if executor.alive:
                executor.kill()

    async def _nobody_stays(self) -> None:
        """When nothing is to do, workers go, whoever made them, and nothing is kept of attempts."""
        living = [one for one in self.executors if one.alive]
        if not living:
            return
        self.policy = POLICIES[0]
        for seconds in _QUIET_SECONDS:
            await asyncio.sleep(seconds)
            if not self.faults or not any(pod.runs for pod in self.cluster.workers.values()):
                break
        left = [pod.view.name for pod in self.cluster.workers.values() if pod.runs]
        assert not left, f"workers that nobody needs: {left}"
        places = {one.name: one.places for one in living if one.places}
        assert not places, f"places that were not given back: {places}"

    def _left(self) -> str:
        return ", ".join(
            f"{run.run_id}/{path} {task}"
            for run in self.runs.values()
            for path, task in run.tasks.items()
            if not task.over
        )


def _pod_name(key: AttemptKey) -> str:
    return f"own-{key.run_id}-{key.path}-{key.attempt}"


class _Defects(logging.Handler):
    """What is logged with the exception that led to it is nobody's fault but ours: code goes on after it, and what it
    does then is not what was to be tried."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


def check(seed: int) -> World:
    """Raises AssertionError."""
    # Warnings of what faults lead to are expected.
    logging.disable(logging.WARNING)
    defects, told = _Defects(), logging.getLogger("penstock_executor")
    told.addHandler(defects)
    told.propagate = False
    # The pauses between tries are drawn from it.
    drawn = random.getstate()
    random.seed(f"everybody {seed}")
    loop = VirtualTimeLoop()
    try:
        world = World(seed)
        loop.run_until_complete(world.run())
        assert not defects.found, f"defects: {defects.found[:3]}"
    except AssertionError as error:
        raise AssertionError(f"{error}; faults: {world.faults}") from error
    finally:
        while left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
        random.setstate(drawn)
        told.removeHandler(defects)
        told.propagate = True
        logging.disable(logging.NOTSET)
    return world
