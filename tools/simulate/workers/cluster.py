"""A cluster in virtual time: Pods of workers with real agents beside pretended programs, and Pods of single attempts.

Invariants: a worker's agent is the one that runs in Pods. What the cluster says of a Pod comes to each executor in
order, and late. A Pod of a single attempt is begun once for its name, for as long as it is there.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from penstock_executor.agent.worker import Worker
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_kube.errors import UnavailableError
from penstock_kube.reflector import EventKind

from tools.sim_kube.clock import timestamp
from tools.sim_kube.container_log import ContainerLog
from tools.sim_kube.fake_program import FakeHandOver, FakeProcesses, FakeProgram
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.relays import Relay
from tools.simulate.workers.streams import Pipe

ATTEMPT = "SIM_ATTEMPT"
"""The variable that has the name of an attempt."""
Watcher = Callable[[EventKind, PodView], None]
_GRACE_SECONDS = 5.0


class _HandOver(FakeHandOver):
    """Notes what is begun."""

    def __init__(self, program: FakeProgram, begun: Callable[[str], None]) -> None:
        super().__init__(program)
        self._begun = begun
        self._attempt = ""

    def instructions(self, arguments: Sequence[str], variables: Mapping[str, str], log_token: str) -> bytes:
        self._attempt = variables[ATTEMPT]
        return super().instructions(arguments, variables, log_token)

    async def give(self, instructions: bytes) -> None:
        self._begun(self._attempt)
        await super().give(instructions)


class WorkerPod:
    """A Pod of a worker, from its creation to its end."""

    def __init__(self, cluster: Cluster, document: Mapping[str, Any], number: int) -> None:
        self._cluster = cluster
        metadata = {**document["metadata"], "uid": f"uid-{number}", "creationTimestamp": timestamp()}
        self._document: dict[str, Any] = {**document, "metadata": metadata, "status": {"phase": "Pending"}}
        self._message: Sequence[str] = ()
        self._relays: dict[Relay, None] = {}
        self._pipes: dict[Pipe, None] = {}
        self._agent: Worker | None = None
        self._program: FakeProgram | None = None
        self._life: asyncio.Task[None] | None = None
        self._frozen = False
        self._killed_by = 0, ""
        self._alone = False
        self.ended = False
        self.vanishes = False
        """Whether its object is taken away, and with it what it says."""

    @property
    def view(self) -> PodView:
        return view_of(self._document)

    def document(self) -> Mapping[str, Any]:
        return self._document

    @property
    def runs(self) -> bool:
        return self._agent is not None and not (self.ended or self._alone)

    def start(self) -> None:
        if self.ended:
            return
        self._program = program = FakeProgram(
            ContainerLog(), usual=Outcome(), seconds=self._cluster.duration, breaks=self._broken
        )
        self._agent = Worker(
            _HandOver(program, lambda attempt: self._cluster.begun(attempt, self)),
            FakeProcesses(program),
            leave_message=self._leave_message,
        )
        self._life = asyncio.ensure_future(self._live())
        self._show("Running", {"running": {"startedAt": timestamp()}})

    def connect(self, pipe: Pipe) -> Relay:
        """Raises UnavailableError."""
        if not self.runs or self._frozen:
            raise UnavailableError(500, "InternalError", "the container does not run")
        relay = Relay(pipe, self._serve)
        self._relays[relay] = self._pipes[pipe] = None
        return relay

    def cut(self) -> None:
        """All streams break."""
        for pipe in list(self._pipes):
            pipe.cut()
        self._pipes.clear()

    def vanish(self) -> None:
        """Somebody deletes it: nobody can be told any more what ran in it."""
        self.vanishes = True
        self.delete()

    def delete(self) -> None:
        """As `kubectl delete pod`: its containers are told, and end within the grace."""
        if self.ended or "deletionTimestamp" in self._document["metadata"]:
            return
        self._document["metadata"] = {**self._document["metadata"], "deletionTimestamp": timestamp()}
        self._cluster.tell(EventKind.MODIFIED, self.view)
        if self._agent is not None and not self._frozen:
            if not self._alone:
                self._agent.pod_ends()
            assert self._program is not None
            self._program.signal(15)
            self._program.gone = "the Pod ends"
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._remove)

    def kill_agent(self) -> None:
        """`kill -9` of the agent: what it has noted stays, and `main` waits for it until the Pod is deleted."""
        if not self.runs or self._frozen or self._life is None:
            return
        self._life.cancel()
        self._alone = True
        for relay in list(self._relays):
            relay.kill()
        message = json.dumps({"begun": list(self._message)})
        self._show("Running", {"running": {"startedAt": timestamp()}}, agent=137, message=message)

    def kill(self, reason: str = "Error") -> None:
        """The container `main` ends with all its processes; the agent tells what it knows, and ends."""
        if self.runs and self._program is not None:
            self._killed_by = 137, reason
            self._show("Running", {"running": {"startedAt": timestamp()}}, main=137, why=reason)
            self._program.die(reason)

    def lose_node(self) -> None:
        """Nothing of it is ever heard again; after a while the cluster gives it up."""
        if not self.runs or self._frozen:
            return
        self._frozen = self.vanishes = True
        for relay in self._relays:
            relay.freeze()
        asyncio.get_running_loop().call_later(40.0, self._remove)

    def _broken(self, outcome: Outcome) -> None:
        self.kill("OOMKilled")

    def _leave_message(self, identities: Sequence[str]) -> None:
        self._message = tuple(identities)

    async def _serve(self, relay: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._agent is not None
        try:
            await self._agent.client(reader, writer)
        finally:
            self._relays.pop(relay, None)

    async def _live(self) -> None:
        assert self._agent is not None
        await self._agent.live()
        code, _ = self._killed_by
        stuck = self._agent.stuck
        self._end(code or (125 if stuck else 0), 70 if stuck else 0)

    def _end(self, main: int, agent: int) -> None:
        if self.ended or self._frozen:
            return
        self.ended = True
        message = json.dumps({"begun": list(self._message)})
        _, reason = self._killed_by
        self._show("Failed" if main or agent else "Succeeded", {}, main=main, agent=agent, message=message, why=reason)
        if "deletionTimestamp" in self._document["metadata"]:
            self._remove()

    def _show(
        self,
        phase: str,
        state: Mapping[str, Any],
        *,
        main: int | None = None,
        agent: int | None = None,
        message: str = "",
        why: str = "",
    ) -> None:
        statuses = []
        for name, code in (("main", main), ("agent", agent)):
            terminated = {
                "exitCode": code,
                "reason": (why if name == "main" else "") or ("Error" if code else "Completed"),
                "message": message if name == "agent" else "",
                "finishedAt": timestamp(),
                "startedAt": timestamp(),
            }
            statuses.append({"name": name, "state": dict(state) if code is None else {"terminated": terminated}})
        self._document = {**self._document, "status": {"phase": phase, "containerStatuses": statuses}}
        self._cluster.tell(EventKind.MODIFIED, self.view)

    def _remove(self) -> None:
        if not self.ended:
            if not self._frozen:
                self._end(137, 137)
            self.ended = True
            if self._life is not None:
                self._life.cancel()
            for relay in list(self._relays):
                relay.kill()
            if self._program is not None:
                self._program.die("the Pod has gone")
        self._cluster.remove(self)


class Cluster:
    """`begun` is told the name of each attempt whose program begins, in a worker or in a Pod of its own."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.workers: dict[str, WorkerPod] = {}
        self.own_pods: dict[str, asyncio.Future[Outcome]] = {}
        """Pods of single attempts, by name, and how they end."""
        self.begins: Counter[str] = Counter()
        self.begun_in_workers = 0
        self.begun_in: dict[str, WorkerPod] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.full_until = 0.0
        """Until then a quota has no room for another Pod of a worker, by the clock of the loop."""
        self.without_room_until = 0.0
        """What is made until then never starts, as no node takes it."""
        self._watchers: list[Watcher] = []
        self._numbers = 0

    def duration(self) -> float:
        """Seconds that an attempt runs."""
        return self.random.choice((0.0, 0.05, 0.5, 3.0, 20.0)) * self.random.uniform(0.5, 1.5)

    def delay(self, most: float = 1.0, random: Random | None = None) -> float:
        """Seconds on the way, sometimes many."""
        random = random or self.random
        return random.uniform(0.0, 0.05 if random.random() < 0.9 else most)

    def pipe(self) -> Pipe:
        """A stream, with delays of its own: in what order several of them are told something is left to the agent."""
        self._numbers += 1
        own = Random(f"pipe {self._numbers} {self.random.random()}")
        # Now and then for longer than a lease.
        return Pipe(lambda: self.delay(30.0 if own.random() < 0.05 else 1.0, own))

    def begun(self, attempt: str, pod: WorkerPod) -> None:
        self.begins[attempt] += 1
        self.begun_in[attempt] = pod
        self.begun_in_workers += 1

    def watch(self, watcher: Watcher) -> None:
        """What is there, and what becomes of it."""
        for pod in self.workers.values():
            watcher(EventKind.ADDED, pod.view)
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    def tell(self, kind: EventKind, view: PodView) -> None:
        for watcher in self._watchers:
            watcher(kind, view)

    def create_worker(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        name = document["metadata"]["name"]
        if name not in self.workers:
            self._numbers += 1
            pod = self.workers[name] = WorkerPod(self, document, self._numbers)
            self.tell(EventKind.ADDED, pod.view)
            seconds = self.random.uniform(0.5, 4.0)
            loop = asyncio.get_running_loop()
            if loop.time() >= self.without_room_until:
                loop.call_later(seconds, pod.start)
        return self.workers[name].document()

    def remove(self, pod: WorkerPod) -> None:
        name = pod.view.name
        if self.workers.get(name) is pod:
            del self.workers[name]
            self.tell(EventKind.DELETED, pod.view)

    def own_pod(self, name: str, attempt: str, outcome: Outcome) -> asyncio.Future[Outcome]:
        """The Pod of that name, made unless it is there."""
        future = self.own_pods.get(name)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self.own_pods[name] = loop.create_future()
            before = self.begun_in.get(attempt)
            if before is None or not (before.vanishes and before.ended):
                self.begins[attempt] += 1
            loop.call_later(2.0 + self.duration(), future.set_result, outcome)
        return future
