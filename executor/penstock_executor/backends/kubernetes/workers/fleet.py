"""The workers of this executor: makes their Pods, talks to their agents, ends those that nobody needs.

Which attempt a worker gets is not decided here (`attempts`).

Invariants: attempts are begun only in workers that this program made; those of others are followed, never filled. A
worker whose Pod has ended is told of once. A Pod that is left is removed when nobody can need what it says any more,
and one that does not end by itself when whoever takes runs over learns without it what was begun there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import ForbiddenError, KubeError, NotFoundError, QuotaExceededError
from penstock_kube.reflector import EventKind

from penstock_executor.backends.kubernetes.calls import CreateAbandonedError, PodCalls, PodVanishedError, pods_path
from penstock_executor.backends.kubernetes.capacity import quota_text
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backends.kubernetes.worker_policy import WorkerPolicy
from penstock_executor.backends.kubernetes.workers import sizing
from penstock_executor.backends.kubernetes.workers.link import AgentLink, LinkDownError, LinkLostError, Message
from penstock_executor.backends.kubernetes.workers.seen_pods import KEPT_SECONDS, SeenPods
from penstock_executor.backends.kubernetes.workers.worker import Pool, Worker, seconds_now
from penstock_executor.backends.kubernetes.workers.worker_pod import named
from penstock_executor.background import Background

log = logging.getLogger(__name__)

RELAY = ("python", "-m", "penstock_executor.agent", "relay")
MOST_ATTEMPTS = 1000
"""After so many a worker goes: what leaks, leaks no further."""
_SWEEP_SECONDS = 1.0
_START_SECONDS = 600.0
_UNREACHABLE_SECONDS = 120.0
_TROUBLE_SECONDS = 60.0
_ALONE_SECONDS = 5.0
"""For so long a worker without its agent may end by itself. What runs there goes on for nobody."""
_UNKNOWN_SECONDS = 300.0
"""So long a Pod that is to be removed stays at most, because of attempts that it alone tells to have been begun."""
_FORCE_SECONDS = 120.0
_LATELY_SECONDS = 3600.0
"""For so long after its last attempt workers of a shape are kept ready."""
_UNNEEDED_SECONDS = 10.0
"""For so long the stream to a worker of another program is kept without use."""


@dataclass(slots=True)
class _Kind:
    """What is known of a pool: of what its workers are made, how many there may be, who waits."""

    pod: Mapping[str, Any]
    policy: WorkerPolicy
    waiting: int = 0
    wanted_at: float = 0.0
    """When an attempt was last given to it."""
    trouble: str = ""
    trouble_until: float = 0.0


class Fleet:
    """`ready(worker)` is called when one can take an attempt, `told(worker, message)` with what its agent says by
    itself, `linked(worker)` when a stream to it is open, `ended(worker)` when its Pod has ended or is gone, and
    `none(pool)` when a worker could not be made. `may_go(worker)` says whether what was begun there is known
    without its Pod."""

    def __init__(
        self,
        client: KubeClient,
        calls: PodCalls,
        instance: str,
        *,
        ready: Callable[[Worker], None],
        told: Callable[[Worker, Message], None],
        linked: Callable[[Worker], None],
        ended: Callable[[Worker], None],
        none: Callable[[Pool], None],
        may_go: Callable[[Worker], bool],
    ) -> None:
        self._client = client
        self._calls = calls
        self._holder = f"{instance}-{secrets.token_hex(8)}"
        self._ready = ready
        self._told = told
        self._linked = linked
        self._ended = ended
        self._none = none
        self._may_go = may_go
        self._kinds: dict[Pool, _Kind] = {}
        self._workers: dict[str, Worker] = {}
        self._making: Counter[Pool] = Counter()
        self._seen = SeenPods()
        self._background = Background("the workers")

    def start(self) -> None:
        self._background.begin(self._sweep())

    def close(self) -> None:
        """The workers go on, and end by themselves when no other executor talks to them."""
        self._background.cancel()

    # --- what attempts ask -----------------------------------------------------------------------------------------

    def idle(self, pool: Pool) -> Worker | None:
        """The one that was busy last: the others become old."""
        return max((one for one in self._of(pool) if one.idle), key=lambda one: one.since, default=None)

    def usable(self, pool: Pool) -> int:
        """Workers that run or are being made."""
        return sum(one.usable for one in self._of(pool)) + self._making[pool]

    def working(self, pool: Pool) -> int:
        """Workers that take attempts, or have taken one."""
        return sum(one.usable and (one.ready or bool(one.taken)) for one in self._of(pool))

    def trouble(self, pool: Pool) -> str:
        """Why there can be no worker for now, empty when there can."""
        kind = self._kinds.get(pool)
        return kind.trouble if kind is not None and seconds_now() < kind.trouble_until else ""

    def want(self, pool: Pool, pod: Mapping[str, Any], policy: WorkerPolicy, waiting: int) -> None:
        """So many attempts wait for workers that are made like `pod`."""
        kind = self._kinds.setdefault(pool, _Kind(pod, policy))
        kind.policy, kind.waiting, kind.wanted_at = policy, waiting, seconds_now()
        self._size(pool, kind)

    def waits(self, pool: Pool, waiting: int) -> None:
        """So many attempts wait by now."""
        kind = self._kinds.get(pool)
        if kind is not None:
            kind.waiting = waiting
            self._size(pool, kind)

    def follow(self, view: PodView) -> Worker:
        """The worker of a Pod that runs, whoever made it."""
        worker = self._workers.get(view.uid)
        if worker is None:
            worker = self._workers[view.uid] = Worker(view, None)
            # Its end may have been told before anybody here asked for it.
            seen = self._seen.find(view)
            if seen is not None:
                self.pod_event(EventKind.MODIFIED, seen)
        worker.since = seconds_now()
        self._link(worker)
        return worker

    def namespaces(self) -> set[str]:
        """Where it makes workers."""
        return {pool.namespace for pool in self._kinds}

    def decide(self, namespace: str, policy: WorkerPolicy) -> None:
        """What the namespace says of workers now."""
        for pool, kind in self._kinds.items():
            if pool.namespace == namespace:
                kind.policy = policy

    def retire(self, worker: Worker) -> None:
        """It takes no attempt any more, and ends after the one that it has."""
        if not worker.retiring:
            worker.retiring, worker.since = True, seconds_now()
            self._background.begin(self._retired(worker))

    def remove(self, worker: Worker, grace_seconds: int | None = None) -> None:
        """Ends it with whatever it does, as soon as what was begun there is known without its Pod."""
        now = seconds_now()
        worker.removed_since = worker.removed_since or now
        if not self._may_go(worker) and now - worker.removed_since < _UNKNOWN_SECONDS:
            return
        view = worker.view
        self._background.begin(self._calls.delete(view.namespace, view.name, view.uid, grace_seconds))

    def leave_to_others(self, known: Set[str]) -> None:
        """What workers keep and is not `known` here by its id, whoever takes a run over has to take; or nobody does."""
        now = seconds_now()
        for worker in self._workers.values():
            for identity in worker.kept - known - worker.forgetting.keys():
                if now - worker.left.setdefault(identity, now) > KEPT_SECONDS:
                    worker.kept.discard(identity)
            worker.left = {one: since for one, since in worker.left.items() if one in worker.kept - known}

    def drop_run(self, run_id: str) -> None:
        """The run is over: nobody else uses its workers."""
        for worker in [one for one in self._workers.values() if one.pool is not None and one.pool.run_id == run_id]:
            self.retire(worker)
        for pool in [pool for pool in self._kinds if pool.run_id == run_id]:
            del self._kinds[pool]

    # --- Pods ------------------------------------------------------------------------------------------------------

    def pod_event(self, kind: EventKind, view: PodView) -> None:
        """Of a Pod with the label of workers."""
        self._seen.event(kind, view)
        worker = self._workers.get(view.uid)
        if worker is None:
            return
        worker.view = view
        if kind is EventKind.DELETED or view.ended:
            self._gone(worker)
            if kind is EventKind.DELETED:
                del self._workers[view.uid]
            return
        agent, main = view.container("agent"), view.container("main")
        if main is not None and main.terminated is not None:
            # An agent that has nothing to give it does not notice.
            worker.over = worker.over or "its first process has ended"
        if agent is not None and agent.terminated is not None:
            # Without it nothing can be begun, and the first process waits for it.
            worker.over = worker.over or "its agent has ended"
            worker.alone_since = worker.alone_since or seconds_now()
            if worker.pool is not None and not worker.kept:
                self.remove(worker)
        elif agent is not None and agent.running_since and worker.needed:
            self._link(worker)

    def _gone(self, worker: Worker) -> None:
        if worker.gone:
            return
        worker.gone, worker.ready, worker.held = True, False, False
        if worker.linking is not None:
            worker.linking.cancel()
        pool = worker.pool
        if pool is not None and not worker.taken and not worker.retiring:
            main = worker.view.container("main")
            why = main.terminated.message or main.terminated.reason if main and main.terminated else worker.view.message
            self._has_trouble(pool, f"a worker ended before it took a task: {(why or 'its Pod was removed')[:300]}")
        self._ended(worker)
        if pool is not None and pool in self._kinds:
            self._size(pool, self._kinds[pool])

    # --- agents ----------------------------------------------------------------------------------------------------

    def _link(self, worker: Worker) -> None:
        if worker.link is not None or worker.gone:
            return
        view = worker.view
        worker.link = AgentLink(
            lambda: self._client.exec(view.namespace, view.name, "agent", list(RELAY)),
            lambda message: self._heard(worker, message),
            lambda: self._up(worker),
            lambda error: self._down(worker, error),
        )
        worker.linking = self._background.begin(worker.link.work())

    def _unlink(self, worker: Worker) -> None:
        if worker.linking is not None:
            worker.linking.cancel()
        worker.link, worker.linking = None, None
        worker.unreachable_since = 0.0

    def _up(self, worker: Worker) -> None:
        if worker.pool is not None:
            self._background.begin(self._hold(worker))
        self._linked(worker)

    async def _hold(self, worker: Worker) -> None:
        assert worker.link is not None
        try:
            answer = await worker.link.ask({"op": "hold", "holder": self._holder})
        except (LinkDownError, LinkLostError):
            return
        worker.held = answer is not None and answer["event"] == "held"
        if worker.held:
            self._tell_ready(worker)
        else:
            log.warning("worker %s is held by another program", worker.view.name)

    def _down(self, worker: Worker, error: BaseException) -> None:
        worker.ready = worker.held = False
        worker.unreachable_since = worker.unreachable_since or seconds_now()
        if worker.gone:
            return
        if isinstance(error, NotFoundError):
            # Its end may have been told before anybody here knew of it. Who is in between may say so, too.
            self._background.begin(self._gone_if_not_there(worker))
            return
        log.info("the stream to worker %s broke: %s", worker.view.name, error)
        if isinstance(error, ForbiddenError) and worker.pool is not None:
            text = "the executor's Role lacks create pods/exec (deploy/kustomize/tasks/warm-workers.yaml)"
            worker.over = worker.over or text
            self.remove(worker)
            self._has_trouble(worker.pool, text)

    async def _gone_if_not_there(self, worker: Worker) -> None:
        view = worker.view
        try:
            there = view_of(await self._client.get(f"{pods_path(view.namespace)}/{view.name}"))
            if there.uid == view.uid:
                return
        except NotFoundError:
            pass
        except KubeError as error:
            # The stream is tried again anyway, and this is asked again when there is none.
            log.info("it cannot be found out whether the Pod of worker %s is there: %s", view.name, error)
            return
        self._gone(worker)
        if self._workers.get(view.uid) is worker:
            del self._workers[view.uid]

    def _heard(self, worker: Worker, message: Message) -> None:
        # Not as soon as there is a stream: an agent that is no more may still be connected to.
        worker.unreachable_since = 0.0
        if message["event"] == "state":
            worker.over = str(message.get("over") or worker.over)[:300]
            worker.taken = max(worker.taken, _count(message.get("attempts")))
            ready = message.get("ready") is True
            if ready and not worker.ready:
                worker.since = seconds_now()
            worker.ready = ready
            if worker.pool is not None and (worker.over or worker.taken >= MOST_ATTEMPTS):
                self.retire(worker)
            self._tell_ready(worker)
        self._told(worker, message)

    def _tell_ready(self, worker: Worker) -> None:
        if worker.idle and worker.held:
            self._ready(worker)

    async def _retired(self, worker: Worker) -> None:
        if worker.link is not None and not worker.over:
            try:
                await worker.link.ask({"op": "retire"})
                return
            except (LinkDownError, LinkLostError):
                pass
        # One that is over ends by itself once all that it has begun is forgotten.
        if not worker.kept and not worker.gone:
            self.remove(worker)

    # --- how many --------------------------------------------------------------------------------------------------

    def _of(self, pool: Pool) -> Iterator[Worker]:
        return (one for one in self._workers.values() if one.pool == pool)

    def _wanted(self, namespace: str) -> bool:
        """Whether attempts wait for workers of any shape: what is kept ready does not take their places."""
        return any(kind.waiting for pool, kind in self._kinds.items() if pool.namespace == namespace)

    def _count_there(self, namespace: str) -> int:
        return self._seen.count(namespace) + sum(
            count for pool, count in self._making.items() if pool.namespace == namespace
        )

    def _size(self, pool: Pool, kind: _Kind) -> None:
        if not kind.waiting or self.trouble(pool) or not allows(kind.policy, pool):
            return
        mine = list(self._of(pool))
        usable = sum(one.usable for one in mine)
        coming = self._making[pool] + sum(one.coming or one.idle for one in mine)
        there = self._count_there(pool.namespace)
        count = sizing.to_make(kind.waiting, usable, coming, there, kind.policy.most)
        for _ in range(count):
            self._making[pool] += 1
            self._background.begin(self._make(pool, kind))
        if not count and not usable and not self._making[pool] and there >= kind.policy.most:
            others = [
                one
                for one in self._workers.values()
                if one.pool is not None and one.pool != pool and one.view.namespace == pool.namespace and not one.gone
            ]
            spare = sizing.longest_idle(others)
            if any(one.retiring for one in others):
                return
            if spare is not None:
                self.retire(spare)
            else:
                text = f"all {there} workers of the namespace take tasks of other shapes (workersMax)"
                self._has_trouble(pool, text, seconds=_SWEEP_SECONDS)

    async def _make(self, pool: Pool, kind: _Kind) -> None:
        pod = named(kind.pod, pool.shape, secrets.token_hex(4))
        name = pod["metadata"]["name"]
        trouble = ""
        try:
            document, _ = await self._calls.create(pool.namespace, pod, lambda: True)
        except QuotaExceededError as error:
            trouble = quota_text(error.message)
        except (KubeError, CreateAbandonedError, PodVanishedError) as error:
            trouble = f"Kubernetes refuses the Pod of a worker: {str(error)[:300]}"
        finally:
            self._making[pool] -= 1
        if trouble:
            self._has_trouble(pool, trouble)
            return
        made = view_of(document)
        # The watch may have been faster.
        view = self._seen.find(made) or made
        log.info("worker %s/%s was made", pool.namespace, name)
        self._workers[made.uid] = Worker(view, pool)
        self.pod_event(EventKind.MODIFIED, view)

    def _has_trouble(self, pool: Pool, text: str, *, seconds: float = _TROUBLE_SECONDS) -> None:
        kind = self._kinds.get(pool)
        if kind is None:
            return
        kind.trouble, kind.trouble_until = text, seconds_now() + seconds
        self._none(pool)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                self._swept(seconds_now())
            except Exception:
                # A defect of ours ends no worker's care for good.
                log.exception("the workers could not be looked after")

    def _swept(self, now: float) -> None:
        for pool, kind in list(self._kinds.items()):
            mine = list(self._of(pool))
            usable = sum(one.usable for one in mine)
            lately = now - kind.wanted_at < _LATELY_SECONDS
            least = kind.policy.least if lately and not pool.run_id and allows(kind.policy, pool) else 0
            if not allows(kind.policy, pool):
                for worker in mine:
                    self.retire(worker)
            elif not kind.waiting:
                for worker in sizing.to_retire(
                    (one for one in mine if one.idle), usable, least, kind.policy.idle_seconds, now
                ):
                    self.retire(worker)
            missing = least - usable - self._making[pool]
            if missing > 0 and not self._wanted(pool.namespace) and not self.trouble(pool):
                room = kind.policy.most - self._count_there(pool.namespace)
                for _ in range(max(0, min(missing, room))):
                    self._making[pool] += 1
                    self._background.begin(self._make(pool, kind))
            self._size(pool, kind)
            if not kind.waiting and not mine and not self._making[pool] and not least:
                del self._kinds[pool]
        for worker in list(self._workers.values()):
            self._look_after(worker, now)
        for view in self._seen.take_leftovers(self._workers):
            self._background.begin(self._calls.delete(view.namespace, view.name, view.uid))

    def _look_after(self, worker: Worker, now: float) -> None:
        if worker.gone:
            return
        if worker.pool is not None and worker.pool not in self._kinds:
            # Made while the run that it was for came to its end.
            self.retire(worker)
        if not worker.needed and worker.link is not None and now - worker.since > _UNNEEDED_SECONDS:
            # A worker to which anybody is connected does not end by itself.
            self._unlink(worker)
        if worker.usable and not worker.held and worker.link is not None and worker.link.is_up:
            self._background.begin(self._hold(worker))
        late = worker.coming and now - worker.since > _START_SECONDS
        if late and worker.pool is not None:
            self._has_trouble(worker.pool, f"a worker was not ready within {_START_SECONDS:g} seconds")
        lost = worker.unreachable_since and now - worker.unreachable_since > _UNREACHABLE_SECONDS
        # Of another program's worker whoever takes a run over may still have to learn what was begun there.
        ours = worker.pool is not None
        alone = (ours or worker.followed) and worker.alone_since and now - worker.alone_since > _ALONE_SECONDS
        stays = worker.retiring and not worker.kept and now - worker.since > _UNREACHABLE_SECONDS
        main = worker.view.container("main")
        useless = ours and main is not None and main.terminated is not None and not worker.kept
        hangs = worker.view.deleted_at and time.time() > worker.view.deleted_at / 1000 + _FORCE_SECONDS
        if hangs:
            self.remove(worker, grace_seconds=0)
        elif worker.removed_since and not worker.view.deleted_at:
            self.remove(worker)
        elif (late or lost or stays or alone or useless) and not worker.view.deleted_at and worker.needed:
            log.warning("worker %s does not do what it should, its Pod is removed", worker.view.name)
            worker.over = worker.over or "it cannot be reached"
            self.remove(worker)


def allows(policy: WorkerPolicy, pool: Pool) -> bool:
    """Whether the pool's tasks may share workers so far."""
    return policy.allowed == "namespace" or (policy.allowed == "run" and bool(pool.run_id))


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
