"""Simulates scheduler, node and kubelet together: moves Pods through their phases by timers.

Invariants: a Pod's steps come in the order a cluster takes them, each is one stored version; a Pod that is gone takes
no further step. A deletion is carried out as a kubelet does it: at once for what never ran or has ended, after the
containers were stopped otherwise. A warm worker's Pod ends when its agent does, or when an attempt ends all of it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tools.sim_kube import outcome as status
from tools.sim_kube import programs
from tools.sim_kube.clock import timestamp
from tools.sim_kube.container_log import ContainerLog
from tools.sim_kube.exec_calls import KILLED, Call, NotBegunError, Program, not_running
from tools.sim_kube.expansion import NOTHING, Given, given_to
from tools.sim_kube.outcome import ANNOTATION, Containers, End, Outcome
from tools.sim_kube.store import Store, Stored
from tools.sim_kube.worker_pod import AGENT, MAIN, WorkerEnd, WorkerPod, is_worker

_ENDED = (b'"phase":"Succeeded"', b'"phase":"Failed"')
_NODE_NAME = b',"nodeName":"sim-node"}'
_HEAD = 64
"""The phase is within the first bytes of every status."""


@dataclass(frozen=True)
class Latency:
    """`seconds` from the creation of a Pod to its end, of which the containers run the larger part; `spread` is the
    standard deviation of the logarithm of a factor drawn for each Pod."""

    seconds: float = 0.1
    spread: float = 0.25
    schedule_share: float = 0.1
    start_share: float = 0.2

    def draw(self, source: random.Random) -> tuple[float, float, float]:
        """Seconds until it is scheduled, until it runs, until it ends: each from the one before."""
        whole = self.seconds * (source.lognormvariate(0.0, self.spread) if self.spread else 1.0)
        schedule, start = whole * self.schedule_share, whole * self.start_share
        return schedule, start, whole - schedule - start


@dataclass(slots=True)
class _Run:
    namespace: str
    name: str
    uid: str
    containers: Containers
    outcome: Outcome
    times: tuple[float, float, float]
    grace: int
    log: ContainerLog
    usual: Outcome | None = None
    """Of the attempts of a warm worker; None for other Pods."""
    worker: WorkerPod | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of a warm worker's container `main`."""
    started: str = ""
    gated: bool = False
    timer: asyncio.TimerHandle | None = None
    calls: list[Call] = field(default_factory=list)
    """Programs that were begun by `exec`."""

    @property
    def over(self) -> bool:
        return self.log.closed


class Node:
    """`decide` returns the outcome of a Pod without the annotation; by default it exits with 0."""

    def __init__(
        self,
        store: Store,
        pods: Any,
        *,
        latency: Latency,
        source: random.Random,
        decide: Callable[[Mapping[str, Any]], Outcome] | None = None,
    ) -> None:
        self._store = store
        self._pods = pods
        self._latency = latency
        self._random = source
        self._decide = decide or _succeeds
        self._runs: dict[str, _Run] = {}

    def take(self, stored: Stored, document: Mapping[str, Any]) -> None:
        """Called when a Pod was created."""
        annotation = (document["metadata"].get("annotations") or {}).get(ANNOTATION)
        outcome = Outcome.from_annotation(annotation) if annotation else self._decide(document)
        spec = document.get("spec") or {}
        usual = None
        if is_worker(spec):
            usual, outcome = self._decide(document), outcome if annotation else Outcome()
        schedule, start, run = self._latency.draw(self._random)
        if outcome.seconds is not None:
            run = outcome.seconds
        limit = spec.get("activeDeadlineSeconds")
        # A worker has no end of its own that would come before.
        if limit is not None and (limit < run or (usual is not None and outcome.kind == "exit")):
            outcome, run = Outcome("deadline"), float(limit)
        grace = spec.get("terminationGracePeriodSeconds", 30)
        given = _given_to_main(document) if outcome.echo or usual is not None else NOTHING
        said = outcome.log + (given.of_program().line() if outcome.echo else "")
        simulated_run = _Run(
            stored.namespace,
            stored.name,
            stored.uid,
            Containers.of(spec),
            outcome,
            (schedule, start, run),
            grace,
            ContainerLog("" if usual is not None else said),
            usual,
            variables=given.variables,
        )
        self._runs[stored.uid] = simulated_run
        if spec.get("schedulingGates"):
            simulated_run.gated = True
        else:
            self._later(schedule, simulated_run, self._schedule)

    def changed(self, stored: Stored, document: Mapping[str, Any]) -> None:
        """Called when a Pod's spec was changed: without its gates the scheduler takes it."""
        run = self._runs[stored.uid]
        if run.gated and not document["spec"].get("schedulingGates"):
            run.gated = False
            self._later(run.times[0], run, self._schedule)

    def log(self, stored: Stored) -> tuple[ContainerLog, bool]:
        """What the Pod's container `main` wrote, and whether it began."""
        run = self._runs[stored.uid]
        return run.log, bool(run.started)

    def begin(self, stored: Stored, container: str, command: Sequence[str], call: Call) -> Program:
        """What `exec` runs in a container of the Pod. Raises NotBegunError."""
        run = self._runs[stored.uid]
        if run.outcome.kind == "node-lost" and run.over:
            raise NotBegunError("error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout")
        if not run.started or run.over:
            raise not_running(container)
        if run.worker is not None:
            return run.worker.begin(container, command, call)
        run.calls.append(call)
        return programs.begin(command, call)

    def delete(self, stored: Stored, grace: int | None) -> Stored:
        """Begins or completes the deletion; what is returned is the Pod as it is then."""
        run = self._runs[stored.uid]
        never_ran = not stored.rest.endswith(_NODE_NAME)
        seconds = run.grace if grace is None else grace
        if seconds == 0 or never_ran or _has_ended(stored):
            return self._remove(run, stored)
        if stored.deletion:
            return stored
        stored = self._store.put(stored._replace(deletion=_deletion(seconds)))
        if run.outcome.kind != "node-lost" or not run.over:
            if run.worker is not None:
                run.worker.terminate()
            # An agent says by itself when it is over.
            attended = run.worker is not None and not run.worker.alone
            stops = float(seconds) if attended else min(float(seconds), run.times[1])
            self._later(stops, run, self._stop)
        return stored

    def forget(self, stored: Stored) -> None:
        """The Pod went away with its namespace."""
        run = self._runs.pop(stored.uid, None)
        if run is not None:
            _halt(run)
            run.log.close()

    def close(self) -> None:
        for run in self._runs.values():
            _halt(run)

    def _later(self, seconds: float, run: _Run, step: Callable[[_Run, Stored], None]) -> None:
        if run.timer is not None:
            run.timer.cancel()
        run.timer = asyncio.get_running_loop().call_later(seconds, self._step, run, step)

    def _step(self, run: _Run, step: Callable[[_Run, Stored], None]) -> None:
        run.timer = None
        stored = self._store.get(self._pods, run.namespace, run.name)
        if stored is not None and stored.uid == run.uid:
            step(run, stored)

    def _schedule(self, run: _Run, stored: Stored) -> None:
        now = timestamp()
        if run.outcome.kind == "unschedulable":
            self._store.put(stored._replace(status=status.unschedulable(now)))
            return
        # A Pod's rest is its spec, so its last brace is the spec's.
        placed = stored.rest[:-1] + _NODE_NAME
        stored = self._store.put(stored._replace(rest=placed, status=status.scheduled(now)))
        self._store.put(stored._replace(status=status.waiting(run.containers, now)))
        self._later(run.times[1], run, self._start)

    def _start(self, run: _Run, stored: Stored) -> None:
        now = timestamp()
        trouble = _never_starts(run)
        if trouble:
            for reason, message in trouble:
                stored = self._store.put(stored._replace(status=status.waiting(run.containers, now, reason, message)))
            return
        run.started = now
        self._store.put(stored._replace(status=status.running(run.containers, now)))
        if run.usual is not None:
            self._begin_work(run, run.usual)
        if run.outcome.kind != ("runs-forever" if run.usual is None else "exit"):
            self._later(run.times[2], run, self._end)

    def _begin_work(self, run: _Run, usual: Outcome) -> None:
        def seconds() -> float:
            return self._latency.draw(self._random)[2]

        def breaks(outcome: Outcome) -> None:
            run.outcome = outcome
            if outcome.kind != "oom":
                self._step(run, self._end)
                return
            assert run.worker is not None
            run.worker.kill_main("it was killed")
            self._step(run, self._main_killed)

        def over(end: WorkerEnd) -> None:
            self._step(run, lambda run, stored: self._worker_over(run, stored, end))

        run.worker = WorkerPod(run.log, usual=usual, seconds=seconds, breaks=breaks, over=over, variables=run.variables)

    def _main_killed(self, run: _Run, stored: Stored, reason: str = "OOMKilled") -> None:
        """The agent goes on beside it."""
        killed = ((MAIN, 137, reason, ""),)
        self._store.put(stored._replace(status=status.partly_ended(run.containers, run.started, timestamp(), killed)))

    def kill_agent(self, name: str) -> None:
        """`kill -9` of the agent of a worker's Pod: its first process waits for it from then on."""
        (run,) = (one for one in self._runs.values() if one.name == name)
        assert run.worker is not None
        run.worker.kill_agent()
        self._step(run, self._agent_killed)

    def kill_main(self, name: str) -> None:
        """`kill -9` of the first process of a worker's Pod."""
        (run,) = (one for one in self._runs.values() if one.name == name)
        assert run.worker is not None
        run.worker.kill_main("it was killed")
        self._step(run, partial(self._main_killed, reason="Error"))

    def agent_message(self, name: str) -> str:
        """What a worker's agent has left in its termination message so far."""
        (run,) = (one for one in self._runs.values() if one.name == name)
        return _message(run, AGENT)

    def _agent_killed(self, run: _Run, stored: Stored) -> None:
        killed = ((AGENT, 137, "Error", _message(run, AGENT)),)
        self._store.put(stored._replace(status=status.partly_ended(run.containers, run.started, timestamp(), killed)))

    def _worker_over(self, run: _Run, stored: Stored, end: WorkerEnd) -> None:
        assert run.worker is not None
        if run.over:
            return
        killed = run.outcome.kind == "oom"
        codes = {MAIN: 137 if killed else end.main, AGENT: end.agent}
        ended = tuple(
            (
                name,
                codes.get(name, 0),
                "OOMKilled" if killed and name == MAIN else "Error" if codes.get(name) else "Completed",
                _message(run, name),
            )
            for name, _ in run.containers.main
        )
        stored = self._finish(run, stored, End(ended, "Failed" if any(codes.values()) else "Succeeded"))
        if stored.deletion:
            self._remove(run, stored)

    def _end(self, run: _Run, stored: Stored) -> None:
        kind = run.outcome.kind
        if kind == "node-lost":
            run.log.close()
            if run.worker is not None:
                run.worker.freeze()
            stored = self._store.put(stored._replace(status=status.running(run.containers, run.started, ready=False)))
            lost = stored.status.replace(b'"phase":"Running"', b'"phase":"Running","reason":"NodeLost"', 1)
            self._store.put(stored._replace(status=lost, deletion=_deletion(run.grace)))
            return
        if kind in ("preempted", "taken-back"):
            stored = self._store.put(stored._replace(deletion=_deletion(run.grace)))
            self._finish(run, stored, _end_of(run))
            self._remove(run, stored)
            return
        self._finish(run, stored, _end_of(run))

    def _stop(self, run: _Run, stored: Stored) -> None:
        """The containers end because the Pod is deleted."""
        # A worker's agent had all of the grace period.
        code = 143 if run.worker is None else 137
        codes = tuple((name, code, "Error", _message(run, name)) for name, _ in run.containers.main)
        if run.started:
            stored = self._finish(run, stored, End(codes, "Failed"))
        self._remove(run, stored)

    def _finish(self, run: _Run, stored: Stored, end: End) -> Stored:
        run.log.close()
        _halt(run)
        return self._store.put(
            stored._replace(status=status.ended(run.containers, run.started or timestamp(), timestamp(), end))
        )

    def _remove(self, run: _Run, stored: Stored) -> Stored:
        current = self._store.get(self._pods, run.namespace, run.name) or stored
        current = self._store.put(current._replace(deletion=_deletion(0)))
        self.forget(current)
        return self._store.remove(current)


def _succeeds(_: Mapping[str, Any]) -> Outcome:
    return Outcome()


def _given_to_main(document: Mapping[str, Any]) -> Given:
    containers = document["spec"].get("containers") or ()
    main: Mapping[str, Any] = next((one for one in containers if one.get("name") == MAIN), {})
    return given_to(main, document["metadata"])


def _has_ended(stored: Stored) -> bool:
    head = stored.status[:_HEAD]
    return any(mark in head for mark in _ENDED)


def _never_starts(run: _Run) -> list[tuple[str, str]]:
    image = run.containers.main[0][1] if run.containers.main else ""
    if run.outcome.kind == "image-pull":
        why = f'failed to pull and unpack image "{image}": not found'
        return [("ErrImagePull", why), ("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}')]
    if run.outcome.kind == "invalid-image":
        return [("InvalidImageName", f'Failed to apply default image tag "{image}": invalid reference format')]
    if run.outcome.kind == "config-error":
        behind = "failed to sync configmap cache: timed out waiting for the condition"
        return [
            ("CreateContainerConfigError", behind),
            ("CreateContainerConfigError", 'configmap "missing" not found'),
        ]
    return []


def _halt(run: _Run) -> None:
    if run.timer is not None:
        run.timer.cancel()
        run.timer = None
    if run.worker is not None:
        run.worker.kill()
    for call in run.calls:
        call.exit(KILLED)


def _message(run: _Run, container: str) -> str:
    if run.worker is not None:
        return run.worker.message if container == AGENT else ""
    return run.outcome.messages.get(container, "")


def _end_of(run: _Run) -> End:
    outcome = run.outcome
    names = [name for name, _ in run.containers.main]
    main = "main" if "main" in names else (names or [""])[0]
    killed = {
        "oom": "OOMKilled",
        "evicted": "Error",
        "preempted": "Error",
        "taken-back": "Error",
        "deadline": "Error",
    }.get(outcome.kind)
    code = 137 if killed else outcome.exit_code
    codes = []
    for name in names:
        its = code if name == main or (killed and outcome.kind != "oom") else 0
        reason = killed if killed and its else "Completed" if its == 0 else "Error"
        codes.append((name, its, reason, _message(run, name)))
    phase = "Failed" if code else "Succeeded"
    if outcome.kind == "evicted":
        why = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."
        return End(tuple(codes), phase, "Evicted", why, ("DisruptionTarget", "TerminationByKubelet"))
    if outcome.kind == "preempted":
        return End(tuple(codes), phase, disruption=("DisruptionTarget", "PreemptionByScheduler"))
    if outcome.kind == "taken-back":
        return End(tuple(codes), phase, disruption=("TerminationTarget", "WorkloadEvictedDueToPreempted"))
    if outcome.kind == "deadline":
        return End(
            tuple(codes), phase, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
        )
    return End(tuple(codes), phase)


def _deletion(grace: int) -> bytes:
    return f',"deletionTimestamp":"{timestamp(grace)}","deletionGracePeriodSeconds":{json.dumps(grace)}'.encode()
