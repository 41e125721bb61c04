"""An executor in virtual time: the real code for workers, and around it what a shell does with it.

Invariants: a launch is carried out after it was committed; an outcome counts when it was committed, with the fence
under which the run is held. One that was killed does nothing any more; one that cannot reach the server goes on until
its leases have run out, by its own clock, and with what its backend does by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.base import LeaseUncertainError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import CreateAbandonedError, PodCalls
from penstock_executor.backends.kubernetes.capacity import Bounds, Capacity
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig, Namespaces
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.worker_policy import WorkerPolicy
from penstock_executor.backends.kubernetes.workers.attempts import WorkerAttempts
from penstock_kube.client import KubeClient, ObjectList
from penstock_kube.errors import NotFoundError, QuotaExceededError, UnavailableError
from penstock_kube.reflector import EventKind
from penstock_store.config import StoreConfig

from tools.simulate.workers.cluster import Cluster
from tools.simulate.workers.streams import Pipe

if TYPE_CHECKING:
    from tools.simulate.workers.world import World

SETTINGS = BackendSettings(
    PodSettings(agent_image="agent", instance="here", wrapper_config_map="wrapper"), bounds=Bounds(200)
)
POLICIES = (
    NamespacePolicy(workers=WorkerPolicy("namespace", "namespace", most=4, idle_seconds=20)),
    NamespacePolicy(workers=WorkerPolicy("run", "run", most=2, idle_seconds=5)),
    NamespacePolicy(workers=WorkerPolicy("namespace", "namespace", most=4, least=1, idle_seconds=20)),
    NamespacePolicy(),
)
"""What a namespace may say of workers; the first holds in the beginning."""


class _Client(KubeClient):
    """What the code for workers asks of a client."""

    def __init__(self, executor: SimExecutor) -> None:
        self._executor = executor

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        cluster, name = self._executor.cluster, path.rpartition("/")[2]
        await asyncio.sleep(cluster.delay())
        pod = cluster.workers.get(name)
        if pod is None:
            raise NotFoundError(404, "NotFound", f'pods "{name}" not found')
        return dict(pod.document())

    async def list_all(self, path: str, label_selector: str = "", *, limit: int = 500) -> ObjectList:
        cluster = self._executor.cluster
        await asyncio.sleep(cluster.delay())
        found = [dict(pod.document()) for pod in cluster.workers.values()]
        await asyncio.sleep(cluster.delay())
        return ObjectList(found, "1")

    @asynccontextmanager
    async def exec(self, namespace: str, pod: str, container: str, command: Any) -> AsyncIterator[Any]:
        cluster = self._executor.cluster
        await asyncio.sleep(cluster.delay())
        there = cluster.workers.get(pod)
        if there is None:
            raise NotFoundError(404, "NotFound", f'pods "{pod}" not found')
        if self._executor.cut_off:
            raise UnavailableError(0, "NoConnection", "there is no way")
        pipe = cluster.pipe()
        pipe.connect(there.connect(pipe))
        self._executor.pipes[pipe] = None
        try:
            yield pipe
        finally:
            self._executor.pipes.pop(pipe, None)
            pipe.cut()


class _Calls(PodCalls):
    def __init__(self, executor: SimExecutor) -> None:
        self._executor = executor

    async def create(self, namespace: str, pod: Mapping[str, Any], may_create: Any) -> tuple[Mapping[str, Any], bool]:
        cluster = self._executor.cluster
        await asyncio.sleep(cluster.delay())
        if not may_create():
            raise CreateAbandonedError
        if asyncio.get_running_loop().time() < cluster.full_until:
            raise QuotaExceededError(403, "Forbidden", "exceeded quota")
        made = cluster.create_worker(pod)
        await asyncio.sleep(cluster.delay())
        return made, True

    async def pod(self, namespace: str, name: str, seconds: float) -> Mapping[str, Any] | None:
        cluster = self._executor.cluster
        await asyncio.sleep(cluster.delay())
        pod = cluster.workers.get(name)
        return None if pod is None else dict(pod.document())

    async def delete(self, namespace: str, name: str, uid: str, grace_seconds: int | None = None) -> None:
        cluster = self._executor.cluster
        await asyncio.sleep(cluster.delay())
        pod = cluster.workers.get(name)
        if pod is not None and pod.view.uid == uid:
            if pod.ended:
                cluster.remove(pod)
            else:
                pod.delete()


class _Claims(ClaimTasks):
    def __init__(self) -> None:
        pass

    async def of_run(self, task: TaskLaunch, namespace: str, policy: NamespacePolicy) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True)
class _Pods:
    """What the watch on Pods has seen: all that there is."""

    cluster: Cluster

    @property
    def cache(self) -> Mapping[str, PodView]:
        own = dict.fromkeys(self.cluster.own_pods, cast(PodView, _OWN))
        return {**own, **{name: pod.view for name, pod in self.cluster.workers.items()}}


@dataclass(frozen=True)
class _Own:
    worker: str = ""


_OWN = _Own()


class _Namespaces(Namespaces):
    """An executor that has read them goes on with what it has while they cannot be read, as the real one does."""

    def __init__(self, executor: SimExecutor) -> None:
        self._executor = executor
        self._pods: Any = _Pods(executor.cluster)
        self._was_read = False

    async def get(self, namespace: str) -> NamespaceConfig:
        random = self._executor.cluster.random
        if not self._was_read and (self._executor.cut_off or random.random() < 0.2):
            raise UnavailableError(0, "NoConnection", "there is no way")
        self._was_read = True
        store: Any = None
        return NamespaceConfig(
            "team",
            self._pods,
            store,
            self._executor.world.policy,
            StoreConfig(default_root="s3://bucket/root"),
            store,
            store,
        )


@dataclass
class Held:
    """A run that the executor believes to hold. `certain_until` by the clock of the loop."""

    fence: int
    certain_until: float
    open: dict[AttemptKey, bool] = field(default_factory=dict)
    """Attempts that are under way, and whether the backend knows of them."""
    started: set[AttemptKey] = field(default_factory=set)
    """Those that are known by the log to have started."""


class SimExecutor:
    def __init__(self, world: World, cluster: Cluster, name: str) -> None:
        self.world = world
        self.cluster = cluster
        self.name = name
        self.held: dict[str, Held] = {}
        self.pipes: dict[Pipe, None] = {}
        self.cut_off = False
        """Whether it reaches no worker's agent."""
        self.away = False
        """Whether it does not reach the server."""
        self.alive = True
        self._own: dict[AttemptKey, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._capacity = Capacity(SETTINGS.bounds)
        self.workers = WorkerAttempts(
            _Client(self),
            _Calls(self),
            _Namespaces(self),
            _Claims(),
            self._capacity,
            SETTINGS,
            self._own_pod,
        )
        self.workers.start(self._deliver, self)
        cluster.watch(self._pod_event)

    # --- what the backend asks (`HeldRuns`) ------------------------------------------------------------------------

    def may_act(self, run_id: str) -> bool:
        held = self.held.get(run_id)
        return held is not None and asyncio.get_running_loop().time() < held.certain_until

    def fence(self, run_id: str) -> int:
        held = self.held.get(run_id)
        return held.fence if held is not None else 0

    def expects(self, key: AttemptKey) -> bool | None:
        held = self.held.get(key.run_id)
        return None if held is None else key in held.open

    def start_committed(self, key: AttemptKey) -> bool:
        held = self.held.get(key.run_id)
        return held is not None and key in held.started

    async def over(self, run_ids: Collection[str]) -> set[str]:
        return set()

    @property
    def places(self) -> int:
        """How many places are taken."""
        return self._capacity.taken

    # --- what its shell does ---------------------------------------------------------------------------------------

    def begin(self, work: Any) -> asyncio.Task[Any]:
        """Until it is killed."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def launch(self, task: TaskLaunch, *, cancel: bool = False) -> None:
        """Its launch was committed by this executor, or is found in the log of a run that it took over; `cancel`: it
        is to be cancelled as soon as it is launched."""
        self.held[task.key.run_id].open[task.key] = True
        self.begin(self._launch(task, cancel=cancel))

    async def _launch(self, task: TaskLaunch, *, cancel: bool) -> None:
        try:
            placement = await self.workers.takes(task)
        except LeaseUncertainError:
            # The run was lost. If it is held again, that is another launch.
            return
        if cancel:
            self.cancel(task.key)
        while placement is not None and self.expects(task.key) is not None:
            try:
                await self._own_pod(task, placement)
            except LeaseUncertainError:
                await asyncio.sleep(0.5)
            else:
                return

    async def _own_pod(self, task: TaskLaunch, placement: str) -> None:
        await asyncio.sleep(self.cluster.delay())
        key = task.key
        if task.pod_name not in self.cluster.own_pods:
            if task.seen_running:
                self._deliver(self.world.lost(key))
                return
            if not self.may_act(key.run_id):
                raise LeaseUncertainError(task.pod_name)
        name, outcome = self.world.attempt(key)
        pod = self.cluster.own_pod(task.pod_name, name, outcome)
        self._own[key] = self.begin(self._followed(key, pod))

    async def _followed(self, key: AttemptKey, pod: asyncio.Future[Any]) -> None:
        outcome = await asyncio.shield(pod)
        await asyncio.sleep(self.cluster.delay())
        self._deliver(self.world.outcome_of_own_pod(key, outcome))

    def cancel(self, key: AttemptKey) -> None:
        if self.workers.knows(key):
            self.workers.cancel(key)

    def lose(self, run_id: str) -> None:
        """It hears that another one holds the run."""
        self.held.pop(run_id, None)

    def released(self, key: AttemptKey) -> None:
        """The attempt's outcome is committed."""
        held = self.held.get(key.run_id)
        if held is not None:
            held.started.discard(key)
        if self.workers.knows(key):
            self.workers.release(key)

    def kill(self) -> None:
        self.alive = False
        self.workers.close()
        for task in [*self._tasks, *self._own.values()]:
            task.cancel()
        for pipe in list(self.pipes):
            pipe.cut()
        self.cluster.unwatch(self._pod_event)
        self.held.clear()

    def _pod_event(self, kind: EventKind, view: PodView) -> None:
        if view.worker and self.alive:
            self.world.later_in_order(self, lambda: self.workers.pod_event(kind, view))

    def _deliver(self, event: BackendEvent) -> None:
        if self.alive and isinstance(event, (TaskStarted, TaskOutcome)):
            held = self.held.get(event.key.run_id)
            if held is not None and isinstance(event, TaskOutcome):
                # The engine goes on at once, and not when it is committed.
                held.open.pop(event.key, None)
            self.begin(self.world.commit(self, event))
