"""Simulates scheduler, node and kubelet together: moves Pods through their phases by timers.

Invariants: a Pod's steps come in the order a cluster takes them, each is one stored version; a Pod that is gone takes
no further step. A deletion is carried out as a kubelet does it: at once for what never ran or has ended, after the
containers were stopped otherwise.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.sim_kube import outcome as status
from tools.sim_kube.outcome import ANNOTATION, Containers, End, Outcome
from tools.sim_kube.store import Store, Stored

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
    started: str = ""
    gated: bool = False
    timer: asyncio.TimerHandle | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


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
        schedule, start, run = self._latency.draw(self._random)
        if outcome.seconds is not None:
            run = outcome.seconds
        limit = spec.get("activeDeadlineSeconds")
        if limit is not None and limit < run:
            outcome, run = Outcome("deadline"), float(limit)
        grace = spec.get("terminationGracePeriodSeconds", 30)
        simulated_run = _Run(
            stored.namespace, stored.name, stored.uid, Containers.of(spec), outcome, (schedule, start, run), grace
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

    def log(self, stored: Stored) -> tuple[str, asyncio.Event, bool]:
        """What the Pod wrote, when it is over, and whether it began."""
        run = self._runs[stored.uid]
        return run.outcome.log, run.over, bool(run.started)

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
        if run.outcome.kind != "node-lost" or not run.over.is_set():
            self._later(min(float(seconds), run.times[1]), run, self._stop)
        return stored

    def forget(self, stored: Stored) -> None:
        """The Pod went away with its namespace."""
        run = self._runs.pop(stored.uid, None)
        if run is not None:
            if run.timer is not None:
                run.timer.cancel()
            run.over.set()

    def close(self) -> None:
        for run in self._runs.values():
            if run.timer is not None:
                run.timer.cancel()

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
        if run.outcome.kind != "runs-forever":
            self._later(run.times[2], run, self._end)

    def _end(self, run: _Run, stored: Stored) -> None:
        kind = run.outcome.kind
        if kind == "node-lost":
            run.over.set()
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
        codes = tuple((name, 143, "Error", "") for name, _ in run.containers.main)
        if run.started:
            stored = self._finish(run, stored, End(codes, "Failed"))
        self._remove(run, stored)

    def _finish(self, run: _Run, stored: Stored, end: End) -> Stored:
        run.over.set()
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
        return [("CreateContainerConfigError", 'configmap "missing" not found')]
    return []


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
        codes.append((name, its, reason, outcome.messages.get(name, "")))
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


_known: tuple[int, str] = (0, "")


def timestamp(later: int = 0) -> str:
    """Now, or `later` seconds, as Kubernetes writes it."""
    global _known
    second = int(time.time())
    if later:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second + later))
    if _known[0] != second:
        _known = (second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)))
    return _known[1]
