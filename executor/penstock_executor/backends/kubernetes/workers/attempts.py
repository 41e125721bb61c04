"""The attempts that workers take: which one gets which worker, and what follows from what a worker tells of it.

The path of an attempt: a shape -> its pool's queue -> a worker -> `started` -> `ended` -> outcome -> committed by the
shell -> forgotten by the worker. What follows from what is seen is decided in `attempt_life`, as for Pods.

Invariants: an attempt is begun in a worker only by the executor that committed its launch, with the lease certain at
the moment when the request is written; one that an earlier holder of its run may have begun is looked for in every
worker of its namespace, and if nobody has begun it, gets a Pod of its own, whose name tells it from all others. When it
is not known whether a worker has begun an attempt, it is given to no other before that is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError
from penstock_store.base import ArtifactStoreError

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.attempt_life import Action, Observation, Phase, step
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError, NoCapacityError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.capacity import Capacity
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig, Namespaces
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.verdict import disruption
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.waiting import Wait
from penstock_executor.backends.kubernetes.worker_policy import isolation
from penstock_executor.backends.kubernetes.workers.choice import why_not
from penstock_executor.backends.kubernetes.workers.fences import FencedOffError, Fences, Found
from penstock_executor.backends.kubernetes.workers.fleet import Fleet
from penstock_executor.backends.kubernetes.workers.instructions import Instructions, instructions, is_too_long
from penstock_executor.backends.kubernetes.workers.link import LinkDownError, LinkLostError, Message
from penstock_executor.backends.kubernetes.workers.results import begun_by, outcome_of, told_result
from penstock_executor.backends.kubernetes.workers.worker import Pool, Worker
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_executor.backends.kubernetes.workers.worker_pod import shape_of, worker_pod
from penstock_executor.background import Background
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_QUEUED_A_WORKER = 8
_AGAIN_SECONDS = 0.5
_WITHOUT_SECONDS = 30.0
"""After so long in a pool in which no worker takes attempts, one gets a Pod of its own."""
_STATUS_SECONDS = 10.0
"""For so long the cluster is waited for, to say how a worker ended under its attempt."""
_REFUSALS = 3
_MOST_QUEUED = 2000


@dataclass(slots=True)
class _Queue:
    """Attempts that wait for a worker of a pool, in their order. `without_since`: since when none takes attempts."""

    config: NamespaceConfig
    pod: Mapping[str, Any]
    waiting: deque[WorkerAttempt] = field(default_factory=deque)
    told: dict[AttemptKey, Instructions] = field(default_factory=dict)
    without_since: float = 0.0


class WorkerAttempts:
    """`own_pod(task, placement)` launches an attempt in a Pod of its own, and raises as `Backend.launch` does;
    `deliver` is the shell's."""

    def __init__(
        self,
        namespaces: Namespaces,
        claims: ClaimTasks,
        capacity: Capacity,
        settings: BackendSettings,
        own_pod: Callable[[TaskLaunch, str], Awaitable[None]],
    ) -> None:
        self._namespaces = namespaces
        self._claims = claims
        self._capacity = capacity
        self._settings = settings
        self._waits = WaitReporter(self._tell_wait)
        self._own_pod = own_pod
        self._attempts: dict[AttemptKey, WorkerAttempt] = {}
        self._queues: dict[Pool, _Queue] = {}
        self._queued: dict[str, int] = {}
        self._refusals: dict[AttemptKey, int] = {}
        self._background = Background("attempts in workers")
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None
        self._fleet: Fleet
        self._fences: Fences

    def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns, fleet: Fleet, fences: Fences) -> None:
        self._deliver, self._runs, self._fleet, self._fences = deliver, runs, fleet, fences
        fleet.start()
        self._background.begin(self._tick())

    # --- what the backend asks -------------------------------------------------------------------------------------

    async def takes(self, task: TaskLaunch) -> str | None:
        """None when the attempt is a worker's, now or later; else in what it runs instead, in words, empty when there
        is nothing to say."""
        known = self._attempts.get(task.key)
        if known is not None and known.state.phase is not Phase.ENDED:
            self._observe(known, Observation.LAUNCHED_AGAIN)
            return None
        namespace = task.namespace or self._settings.pods.default_namespace
        try:
            config = await self._namespaces.get(namespace)
        except (KubeError, ArtifactStoreError, ValueError):
            # Whoever makes its Pod says what is wrong, or waits.
            return ""
        if task.pod_name in config.pods.cache:
            return ""
        if task.may_exist:
            if config.policy.workers.allowed == "off" and not any(one.worker for one in config.pods.cache.values()):
                return ""
            self._begin(task, namespace, lambda attempt: self._background.begin(self._looked_for(attempt)))
            return None
        shared = isolation(task.workers, config.policy.workers)
        if task.seen_running or shared == "off":
            return ""
        try:
            return await self._enqueued(task, config, shared)
        except (KubeError, ArtifactStoreError, ValueError):
            return ""

    def knows(self, key: AttemptKey) -> bool:
        return key in self._attempts

    def full(self, namespace: str) -> str:
        """Why the namespace's attempts have to wait, empty when they have not: enough wait for workers already."""
        queued = self._queued.get(namespace, 0)
        return f"{queued} tasks wait for workers already" if queued >= _MOST_QUEUED else ""

    def cancel(self, key: AttemptKey) -> None:
        self._observe(self._attempts[key], Observation.CANCEL_ASKED)

    def release(self, key: AttemptKey) -> None:
        """The attempt's outcome is committed."""
        attempt = self._attempts.pop(key)
        worker = attempt.worker
        if worker is not None and not worker.gone and self._runs is not None:
            worker.forgetting[attempt.identity] = (key.run_id, self._runs.fence(key.run_id))
            self._background.begin(self._forgotten(worker))

    def forget(self, run_id: str) -> None:
        self._fences.forget(run_id)
        self._fleet.drop_run(run_id)

    def close(self) -> None:
        for attempt in self._attempts.values():
            attempt.cancel_timers()
        self._background.cancel()
        self._waits.close()
        self._fences.close()
        self._fleet.close()

    # --- the way to a worker ---------------------------------------------------------------------------------------

    async def _enqueued(self, task: TaskLaunch, config: NamespaceConfig, shared: str) -> str | None:
        """As `takes`. Raises KubeError, ArtifactStoreError, ValueError for what a Pod of its own would raise, too."""
        pods, store = self._settings.pods, TaskStore(config.store_config, task)
        reason = why_not(task, pods, config.policy, store)
        if reason:
            return _own(reason)
        told = instructions(task, pods, config.policy, store)
        if is_too_long(told):
            return _own("its arguments and variables are more than a worker takes")
        claims = await self._claims.of_run(task, config.namespace, config.policy)
        pod = worker_pod(task, pods, config.policy, store, claims, shared)
        pool = Pool(config.namespace, shape_of(pod), task.key.run_id if shared == "run" else "")
        trouble = self._fleet.trouble(pool)
        if trouble and not self._fleet.usable(pool):
            return _own(trouble)
        if task.uses_workspace:
            await self._claims.ensure_workspace(task, config.namespace)

        def enqueue(attempt: WorkerAttempt) -> None:
            queue = self._queues.setdefault(pool, _Queue(config, pod))
            queue.config, queue.pod = config, pod
            queue.told[attempt.key] = told
            self._put(pool, queue, attempt)
            self._match(pool)

        self._begin(task, config.namespace, enqueue)
        return None

    def _begin(self, task: TaskLaunch, namespace: str, then: Callable[[WorkerAttempt], object]) -> None:
        attempt = self._attempts[task.key] = WorkerAttempt(task, namespace)
        self._capacity.take(task.key, namespace)
        then(attempt)

    def _put(self, pool: Pool, queue: _Queue, attempt: WorkerAttempt, *, first: bool = False) -> None:
        if first:
            queue.waiting.appendleft(attempt)
        else:
            queue.waiting.append(attempt)
        self._count(pool.namespace, 1)

    def _count(self, namespace: str, by: int) -> None:
        self._queued[namespace] = self._queued.get(namespace, 0) + by

    def _match(self, pool: Pool) -> None:
        """Gives the pool's idle workers what waits, and has workers made for the rest."""
        queue = self._queues.get(pool)
        if queue is None:
            return
        while queue.waiting and (worker := self._fleet.idle(pool)) is not None:
            attempt = queue.waiting.popleft()
            self._count(pool.namespace, -1)
            if attempt.state.phase is not Phase.CREATING or self._given_back(attempt):
                queue.told.pop(attempt.key, None)
                continue
            worker.attempt = attempt
            worker.since = time.monotonic()
            self._background.begin(self._give(pool, queue, worker, attempt))
        if not queue.waiting and not queue.told:
            del self._queues[pool]
            self._fleet.waits(pool, 0)
        else:
            self._fleet.want(pool, queue.pod, queue.config.policy.workers, len(queue.waiting))

    def _given_back(self, attempt: WorkerAttempt) -> bool:
        """Whether nobody wants it begun any more."""
        assert self._runs is not None
        if attempt.state.stop is not None:
            self._observe(attempt, Observation.POSTPONED)
            return True
        if self._runs.expects(attempt.key) is None:
            # The next holder of its run looks for it, and finds that nobody has begun it.
            self._drop(attempt)
            return True
        return False

    async def _give(self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt) -> None:
        assert self._runs is not None and worker.link is not None
        runs, run_id = self._runs, attempt.key.run_id

        def allowed() -> bool:
            return attempt.state.stop is None and runs.expects(attempt.key) is True and runs.may_act(run_id)

        told = queue.told[attempt.key]
        attempt.worker = worker
        worker.followed[attempt.identity] = attempt
        # It says itself when it can take the next one.
        worker.ready = False
        try:
            message = told.message(worker.view, runs.fence(run_id), attempt.log_mark)
            answer = await worker.link.ask(message, allowed)
        except LinkDownError:
            self._not_begun(pool, queue, worker, attempt)
            return
        except LinkLostError:
            # Asked again when there is a stream, or told by how the worker ends.
            return
        self._answered(pool, queue, worker, attempt, answer)

    def _answered(
        self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt, answer: Message | None
    ) -> None:
        """Of `run`, or of `watch` for an attempt of which it is not known whether it was begun."""
        event = answer["event"] if answer is not None else ""
        if answer is not None and event in ("started", "known"):
            queue.told.pop(attempt.key, None)
            self._refusals.pop(attempt.key, None)
            self._match(pool)
            self._has_begun(attempt, worker, answer)
            return
        if answer is None:
            worker.attempt, worker.followed = None, _without(worker.followed, attempt)
            worker.ready = worker.held
            attempt.worker = None
            if self._given_back(attempt):
                queue.told.pop(attempt.key, None)
            else:
                # The lease is not certain for now.
                self._put(pool, queue, attempt, first=True)
                self._later(pool)
            return
        if event == "refused":
            log.info("worker %s refuses an attempt: %s", worker.view.name, answer.get("why"))
            refusals = self._refusals[attempt.key] = self._refusals.get(attempt.key, 0) + 1
            if refusals >= _REFUSALS:
                worker.attempt, worker.followed = None, _without(worker.followed, attempt)
                attempt.worker = None
                queue.told.pop(attempt.key, None)
                self._background.begin(self._by_itself(attempt, f"a worker refused it: {answer.get('why')}"))
                return
        self._not_begun(pool, queue, worker, attempt)

    def _not_begun(self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt) -> None:
        """It is certain that the worker has not begun it."""
        worker.followed = _without(worker.followed, attempt)
        if worker.attempt is attempt:
            worker.attempt = None
        attempt.worker = None
        if not self._given_back(attempt):
            self._queues.setdefault(pool, queue)
            self._put(pool, queue, attempt, first=True)
            self._later(pool)

    def _later(self, pool: Pool) -> None:
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._match, pool)

    def _has_begun(self, attempt: WorkerAttempt, worker: Worker, answer: Mapping[str, Any]) -> None:
        number = answer.get("number")
        attempt.number = number if isinstance(number, int) and 0 < number < 2**31 else 1
        attempt.began_at = attempt.began_at or time.time_ns() // 1_000_000
        worker.taken = max(worker.taken, attempt.number)
        self._waits.forget(attempt.key)
        if attempt.task.deadline_seconds > 0 and attempt.state.phase is Phase.CREATING:
            attempt.after(attempt.task.deadline_seconds, lambda: self._observe(attempt, Observation.DEADLINE_PASSED))
        self._observe(attempt, Observation.STARTED)

    # --- attempts of an earlier holder -----------------------------------------------------------------------------

    async def _looked_for(self, attempt: WorkerAttempt) -> None:
        assert self._runs is not None
        runs, key = self._runs, attempt.key
        try:
            begun = await self._fences.begun(
                attempt.namespace, key.run_id, runs.fence(key.run_id), lambda: runs.expects(key) is not None
            )
        except FencedOffError:
            self._drop(attempt)
            return
        found = begun.attempts.get(attempt.identity)
        if found is not None and found.worker is not None and not found.forgotten:
            self._adopt(attempt, found.worker, found)
        elif found is not None or begun.uncertain or attempt.task.seen_running:
            text = "the worker in which the task ran is gone, and nobody saw how it ended"
            self._observe(attempt, Observation.NOT_CREATED, attempt.failed(FailureKind.INFRASTRUCTURE, text))
        else:
            await self._by_itself(attempt, "", "an executor before this one may have begun it")

    def _adopt(self, attempt: WorkerAttempt, worker: Worker, found: Found) -> None:
        attempt.worker, attempt.log_mark = worker, found.log_mark or attempt.log_mark
        worker.followed[attempt.identity] = attempt
        if worker.gone:
            self._lost_with(worker, attempt)
            return
        self._has_begun(attempt, worker, {"number": found.number})
        self._background.begin(self._watched(worker, attempt))

    async def _watched(self, worker: Worker, attempt: WorkerAttempt) -> None:
        """Asks a worker for an attempt that is followed there: it answers, and tells its end behind that."""
        assert self._runs is not None and worker.link is not None
        run_id = attempt.key.run_id
        message = {"op": "watch", "id": attempt.identity, "run_id": run_id, "fence": self._runs.fence(run_id)}
        try:
            answer = await worker.link.ask(message)
        except (LinkDownError, LinkLostError):
            return
        if answer is None or attempt.result is not None or worker.followed.get(attempt.identity) is not attempt:
            return
        if attempt.number:
            return
        pool = worker.pool
        queue = self._queues.get(pool) if pool is not None else None
        if pool is not None and queue is not None:
            self._answered(pool, queue, worker, attempt, answer)

    async def _by_itself(self, attempt: WorkerAttempt, *reasons: str) -> None:
        """Launches it in a Pod of its own."""
        placement = _own(next(filter(None, reasons), ""))
        while self._attempts.get(attempt.key) is attempt and not self._given_back(attempt):
            # From here on it is known there, and nowhere twice.
            del self._attempts[attempt.key]
            try:
                await self._own_pod(attempt.task, placement)
            except NoCapacityError as error:
                self._waits.update(attempt.key, Wait(str(error)))
            except LeaseUncertainError:
                pass
            else:
                return
            self._attempts[attempt.key] = attempt
            self._capacity.take(attempt.key, attempt.namespace)
            await asyncio.sleep(_AGAIN_SECONDS)

    # --- what workers say ------------------------------------------------------------------------------------------

    def ready(self, worker: Worker) -> None:
        if worker.pool is not None:
            self._match(worker.pool)

    def linked(self, worker: Worker) -> None:
        for attempt in list(worker.followed.values()):
            self._background.begin(self._watched(worker, attempt))
            if attempt.state.phase is Phase.STOPPING:
                self._background.begin(self._stop(attempt, at_once=False))
        if worker.forgetting:
            self._background.begin(self._forgotten(worker))

    def told(self, worker: Worker, message: Message) -> None:
        if message["event"] == "ended":
            # Behind what was answered before it.
            asyncio.get_running_loop().call_soon(self._has_ended, worker, message)

    def _has_ended(self, worker: Worker, message: Message) -> None:
        attempt = worker.followed.pop(str(message.get("id")), None)
        if attempt is None:
            return
        if worker.attempt is attempt:
            worker.attempt = None
        attempt.result = told_result(message)
        if attempt.result is None:
            text = "what the worker told of the attempt's end is no result that this version can read"
            attempt.worker = worker
            self._observe(attempt, Observation.ENDED, attempt.failed(FailureKind.INFRASTRUCTURE, text))
            return
        if not attempt.number:
            self._has_begun(attempt, worker, {"number": worker.taken})
        self._observe(attempt, Observation.ENDED)

    def worker_ended(self, worker: Worker) -> None:
        for attempt in list(worker.followed.values()):
            self._lost_with(worker, attempt)
        worker.followed.clear()
        worker.attempt = None

    def _lost_with(self, worker: Worker, attempt: WorkerAttempt) -> None:
        worker.followed = _without(worker.followed, attempt)
        pool, begun = worker.pool, begun_by(worker.view)
        queue = self._queues.get(pool) if pool is not None else None
        if not attempt.number and begun is not None and attempt.identity not in begun and pool and queue is not None:
            self._not_begun(pool, queue, worker, attempt)
            return
        if queue is not None:
            queue.told.pop(attempt.key, None)
        if not attempt.number:
            self._has_begun(attempt, worker, {"number": worker.taken + 1})
        self._observe(attempt, Observation.ENDED if worker.view.ended else Observation.GONE)

    def no_worker(self, pool: Pool) -> None:
        """The fleet could not make one: what waits runs without, unless others of the pool work."""
        if not self._fleet.usable(pool):
            self._all_by_themselves(pool, self._fleet.trouble(pool))

    def _all_by_themselves(self, pool: Pool, reason: str) -> None:
        queue = self._queues.get(pool)
        if queue is None:
            return
        while queue.waiting:
            attempt = queue.waiting.popleft()
            self._count(pool.namespace, -1)
            queue.told.pop(attempt.key, None)
            self._background.begin(self._by_itself(attempt, reason))
        self._match(pool)

    async def _tick(self) -> None:
        """Says why attempts wait, and lets none wait for workers that do not come."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for pool, queue in list(self._queues.items()):
                working = self._fleet.working(pool)
                queue.without_since = 0.0 if working or not queue.waiting else queue.without_since or now
                for attempt in queue.waiting:
                    self._waits.update(attempt.key, Wait(f"waits for one of {working} workers of its kind"))
                if queue.without_since and now - queue.without_since > _WITHOUT_SECONDS:
                    self._all_by_themselves(pool, f"no worker was ready within {_WITHOUT_SECONDS:g} seconds")
                # A run that is lost, or an attempt that was cancelled, waits for no worker.
                for attempt in [one for one in queue.waiting if one.state.stop is not None]:
                    queue.waiting.remove(attempt)
                    queue.told.pop(attempt.key, None)
                    self._count(pool.namespace, -1)
                    self._given_back(attempt)
                self._match(pool)

    def _tell_wait(self, key: AttemptKey, text: str) -> None:
        self._deliver(TaskWaiting(key, text))

    # --- acting: what follows from it ------------------------------------------------------------------------------

    def _observe(self, attempt: WorkerAttempt, observation: Observation, outcome: TaskOutcome | None = None) -> None:
        attempt.state, actions = step(attempt.state, observation)
        for action in actions:
            self._carry_out(attempt, action, outcome)

    def _carry_out(self, attempt: WorkerAttempt, action: Action, outcome: TaskOutcome | None) -> None:
        worker = attempt.worker
        if action is Action.REPORT_START:
            assert worker is not None
            uri = log_uri(attempt.task.task_root)
            self._deliver(TaskStarted(attempt.key, attempt.began_at, uri, worker.view.name, attempt.times()))
        elif action is Action.STOP:
            self._background.begin(self._stop(attempt, at_once=False))
        elif action is Action.READ_OUTCOME:
            self._background.begin(self._concluded(attempt, outcome))
        elif action is Action.DELIVER:
            assert outcome is not None
            self._end(attempt, outcome)
        elif action is Action.DELIVER_STOPPED:
            text = "the run was terminated" if attempt.number else "the task was ended before it started"
            self._end(attempt, attempt.failed(FailureKind.CANCELED, text))
        elif action is Action.DELIVER_LOST:
            assert worker is not None
            failure = disruption(worker.view)
            text = f"the worker {worker.view.name} was gone while the task ran in it"
            kind, why = (failure.kind, failure.text) if failure is not None else (FailureKind.INFRASTRUCTURE, text)
            self._end(attempt, attempt.failed(kind, why, failure.cause if failure is not None else None))
        elif action is Action.HAND_BACK:
            self._drop(attempt)
        # WITHDRAW: whoever gives it to a worker, or makes its Pod, asks for the state before.

    async def _stop(self, attempt: WorkerAttempt, *, at_once: bool) -> None:
        assert self._runs is not None
        worker, run_id = attempt.worker, attempt.key.run_id
        if worker is None or worker.link is None or attempt.state.phase is not Phase.STOPPING:
            return
        if not at_once:
            kill = self._stop(attempt, at_once=True)
            attempt.after(self._settings.cancel_grace_seconds, lambda: self._background.begin(kill))
        fence = self._runs.fence(run_id)
        message = {"op": "cancel", "id": attempt.identity, "run_id": run_id, "fence": fence, "at_once": at_once}
        try:
            await worker.link.ask(message)
        except (LinkDownError, LinkLostError):
            # Asked again when there is a stream; a worker that cannot be reached for long is removed.
            return

    async def _concluded(self, attempt: WorkerAttempt, outcome: TaskOutcome | None) -> None:
        worker = attempt.worker
        assert worker is not None
        try:
            if outcome is None:
                result = attempt.result
                if attempt.state.stop is None and (result is None or result.exit is None):
                    await self._status_of(worker)
                outcome = outcome_of(attempt, worker.view)
        except Exception as error:
            # A defect of ours, or a status nobody has seen yet: one attempt's end, not the executor's.
            log.exception("worker %s: the end of an attempt cannot be understood", worker.view.name)
            text = f"the end of the attempt was not understood: {error}"
            outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
        self._observe(attempt, Observation.CONCLUDED, outcome)

    async def _status_of(self, worker: Worker) -> None:
        """Waits until the cluster says how the worker's container ended, if it did."""
        until = time.monotonic() + _STATUS_SECONDS
        while time.monotonic() < until and not worker.gone:
            main = worker.view.container("main")
            if (main is not None and main.terminated is not None) or worker.ready:
                return
            await asyncio.sleep(0.05)

    def _end(self, attempt: WorkerAttempt, outcome: TaskOutcome) -> None:
        assert self._runs is not None
        self._waits.forget(attempt.key)
        attempt.cancel_timers()
        self._capacity.free(attempt.key)
        self._refusals.pop(attempt.key, None)
        self._deliver(outcome)
        if self._runs.expects(attempt.key) is None:
            # Nobody here waits for it, so nobody will release it.
            self._attempts.pop(attempt.key, None)

    def _drop(self, attempt: WorkerAttempt) -> None:
        self._waits.forget(attempt.key)
        attempt.cancel_timers()
        self._capacity.free(attempt.key)
        self._refusals.pop(attempt.key, None)
        if self._attempts.get(attempt.key) is attempt:
            del self._attempts[attempt.key]

    async def _forgotten(self, worker: Worker) -> None:
        """Tells a worker whose results are committed."""
        for identity, (run_id, fence) in list(worker.forgetting.items()):
            if worker.link is None:
                return
            try:
                await worker.link.ask({"op": "forget", "id": identity, "run_id": run_id, "fence": fence})
            except (LinkDownError, LinkLostError):
                return
            worker.forgetting.pop(identity, None)


def _own(reason: str) -> str:
    return f"a Pod of its own: {reason}"[:200] if reason else ""


def _without(followed: dict[str, WorkerAttempt], attempt: WorkerAttempt) -> dict[str, WorkerAttempt]:
    return {identity: one for identity, one in followed.items() if one is not attempt}
