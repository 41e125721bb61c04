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
from collections.abc import Awaitable, Callable

from penstock_ir.event_log import FailureKind
from penstock_kube.client import KubeClient
from penstock_kube.errors import KubeError
from penstock_kube.reflector import EventKind
from penstock_store.base import ArtifactStoreError

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.attempt_life import Action, Observation, Phase, step
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.capacity import Capacity
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig, Namespaces
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.worker_policy import isolation
from penstock_executor.backends.kubernetes.workers.attempt_table import AttemptTable
from penstock_executor.backends.kubernetes.workers.endings import concluded, lost
from penstock_executor.backends.kubernetes.workers.fences import FencedOffError, Fences, Found
from penstock_executor.backends.kubernetes.workers.fleet import Fleet
from penstock_executor.backends.kubernetes.workers.link import LinkDownError, LinkLostError, Message
from penstock_executor.backends.kubernetes.workers.own_pods import OwnPods, own_pod_because
from penstock_executor.backends.kubernetes.workers.preparation import Preparation
from penstock_executor.backends.kubernetes.workers.queues import Queues
from penstock_executor.backends.kubernetes.workers.results import begun_by, told_result
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_executor.background import Background
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_DEFECT_SECONDS = 5.0
_DECISIONS_SECONDS = 5.0


class WorkerAttempts:
    """`own_pod(task, placement)` launches an attempt in a Pod of its own, and raises as `Backend.launch` does;
    `deliver` is the shell's."""

    def __init__(
        self,
        client: KubeClient,
        calls: PodCalls,
        namespaces: Namespaces,
        claims: ClaimTasks,
        capacity: Capacity,
        settings: BackendSettings,
        own_pod: Callable[[TaskLaunch, str], Awaitable[None]],
    ) -> None:
        self._namespaces = namespaces
        self._settings = settings
        instance = settings.pods.instance
        self._fleet = Fleet(
            client,
            calls,
            instance,
            ready=lambda worker: self._queues.match(worker.pool) if worker.pool is not None else None,
            told=self._told,
            linked=self._linked,
            ended=self._worker_ended,
            none=lambda pool: self._queues.no_worker(pool),
            may_go=self._may_go,
        )
        self._fences = Fences(client, instance, self._fleet)
        self._waits = WaitReporter(lambda key, text: self._deliver(TaskWaiting(key, text)))
        self._queues = Queues(self._fleet, self._held_runs, self, self._waits)
        self._table = AttemptTable(capacity, self._waits)
        self._own_pods = OwnPods(self._table, self._waits, self._held_runs, self.unwanted, own_pod)
        self._preparation = Preparation(self._fleet, claims, settings)
        self._background = Background("attempts in workers")
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None
        self._calls = calls

    def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver, self._runs = deliver, runs
        self._fleet.start()
        self._queues.start()
        self._background.begin(self._obey())

    def _held_runs(self) -> HeldRuns:
        assert self._runs is not None, "not started"
        return self._runs

    # --- what the backend asks -------------------------------------------------------------------------------------

    async def takes(self, task: TaskLaunch) -> str | None:
        """None when the attempt is a worker's, now or later; else in what it runs instead, in words, empty when there
        is nothing to say.

        Raises LeaseUncertainError when the run was lost meanwhile, whoever holds it now.
        """
        fence = self._held_runs().fence(task.key.run_id)
        known = self._table.get(task.key)
        if known is not None and known.state.phase is not Phase.ENDED and not self._is_of_another_time(known, task):
            self._launched_again(known)
            return None
        namespace = task.namespace or self._settings.pods.default_namespace
        try:
            config = await self._settings_of(task, namespace)
        except (KubeError, ArtifactStoreError, ValueError):
            self._check_fence(task, fence)
            # Whoever makes its Pod says what is wrong, or waits.
            return ""
        self._check_fence(task, fence)
        if task.pod_name in config.pods.cache:
            self._replaced(task.key)
            return ""
        if task.may_exist:
            if config.policy.workers.allowed == "off" and not await self._fences.any_workers(namespace):
                self._check_fence(task, fence)
                self._replaced(task.key)
                return ""
            self._check_fence(task, fence)
            canceled = known is not None and known.state.stop is not None
            attempt = self._begin(task, namespace)
            if canceled:
                self._observe(attempt, Observation.CANCEL_ASKED)
            self._background.begin(self._looked_for(attempt))
            return None
        shared = isolation(task.workers, config.policy.workers)
        if task.seen_running or shared == "off":
            return ""
        try:
            prepared = await self._preparation.prepare(task, config, shared)
        except (KubeError, ArtifactStoreError, ValueError):
            return ""
        if isinstance(prepared, str):
            return own_pod_because(prepared)
        self._check_fence(task, fence)
        attempt = self._begin(task, namespace)
        self._queues.put(prepared.pool, prepared.pod, config.policy.workers, attempt, prepared.told)
        return None

    def _is_of_another_time(self, known: WorkerAttempt, task: TaskLaunch) -> bool:
        """Whether its run was another executor's since, which may have begun it elsewhere."""
        fence = self._held_runs().fence(task.key.run_id)
        return task.may_exist and known.state.phase is Phase.CREATING and known.fence != fence

    def _launched_again(self, attempt: WorkerAttempt) -> None:
        attempt.fence = self._held_runs().fence(attempt.key.run_id)
        self._observe(attempt, Observation.LAUNCHED_AGAIN)
        if attempt.worker is not None and attempt.number and attempt.worker.has(attempt):
            # While the run was not held, a worker may have refused to tell of it.
            self._follow(attempt.worker, attempt)

    async def _settings_of(self, task: TaskLaunch, namespace: str) -> NamespaceConfig:
        """Of one that may have been begun in a worker, however long they cannot be read: a Pod of its own would be a
        second beginning. Raises as `Namespaces.get`."""
        runs, key = self._held_runs(), task.key
        fence = runs.fence(key.run_id)
        return await retried(
            lambda: self._namespaces.get(namespace),
            if_=lambda error: (
                task.may_exist
                and is_transient(error)
                and runs.expects(key) is not None
                and runs.fence(key.run_id) == fence
            ),
        )

    def _replaced(self, key: AttemptKey) -> None:
        """What was known of the attempt does not hold any more."""
        attempt = self._table.get(key)
        if attempt is not None:
            self._table.drop(attempt)

    def knows(self, key: AttemptKey) -> bool:
        return self._table.get(key) is not None

    def full(self, namespace: str) -> str:
        """Why the namespace's attempts have to wait, empty when they have not."""
        return self._queues.full(namespace)

    def pod_event(self, kind: EventKind, view: PodView) -> None:
        """Of a worker's Pod."""
        self._fleet.pod_event(kind, view)

    def cancel(self, key: AttemptKey) -> None:
        attempt = self._table.get(key)
        if attempt is not None:
            self._observe(attempt, Observation.CANCEL_ASKED)

    def release(self, key: AttemptKey) -> None:
        """The attempt's outcome is committed."""
        attempt = self._table.get(key)
        assert attempt is not None, "not known here"
        # It may have been launched anew while its outcome of before was being committed.
        self._table.drop(attempt)
        worker = attempt.worker
        if worker is None:
            return
        worker.settled.add(attempt.identity)
        if worker.gone:
            worker.kept.discard(attempt.identity)
        else:
            worker.forgetting[attempt.identity] = (key.run_id, self._held_runs().fence(key.run_id))
            self._background.begin(self._forgotten(worker))

    def forget(self, run_id: str) -> None:
        self._fences.forget(run_id)
        self._fleet.drop_run(run_id)

    def close(self) -> None:
        for attempt in self._table:
            attempt.cancel_timers()
        self._background.cancel()
        self._waits.close()
        self._queues.close()
        self._own_pods.close()
        self._fences.close()
        self._fleet.close()

    async def _obey(self) -> None:
        """What namespaces decide holds for the workers that they have, too; and who holds a run, for its attempts."""
        # No retry of one call: what it reads is read again anyway.
        while True:
            await asyncio.sleep(_DECISIONS_SECONDS)
            try:
                self._ask_for_others()
                self._fleet.leave_to_others({attempt.identity for attempt in self._table})
                for namespace in self._fleet.namespaces():
                    policy = (await self._namespaces.get(namespace)).policy.workers
                    self._fleet.decide(namespace, policy)
                    self._queues.decide(namespace, policy)
            except (KubeError, ArtifactStoreError, ValueError) as error:
                log.warning("what namespaces say of workers cannot be read: %s", error)
            except Exception:
                # A defect of ours ends nothing for good.
                log.exception("what namespaces say of workers cannot be obeyed")

    def _ask_for_others(self) -> None:
        """Whether attempts of runs that are not held any more are another executor's by now: the worker says so."""
        for attempt in self._table:
            worker = attempt.worker
            if self._held_runs().expects(attempt.key) is not None:
                continue
            if attempt.state.phase is Phase.ENDED:
                # Its run was lost behind its end.
                self._table.remove_ended(attempt)
            elif worker is not None and worker.has(attempt):
                self._background.begin(self._watched(worker, attempt))

    # --- the way to a worker ---------------------------------------------------------------------------------------

    def _check_fence(self, task: TaskLaunch, fence: int) -> None:
        """Raises LeaseUncertainError."""
        if self._held_runs().fence(task.key.run_id) != fence:
            # Held again, it is launched again, as one that another executor may have begun.
            raise LeaseUncertainError(task.pod_name)

    def _begin(self, task: TaskLaunch, namespace: str) -> WorkerAttempt:
        return self._table.begin(task, namespace, self._held_runs().fence(task.key.run_id))

    def unwanted(self, attempt: WorkerAttempt) -> bool:
        """Of one that nobody has begun: see `Lives`."""
        if attempt.state.stop is not None:
            self._observe(attempt, Observation.POSTPONED)
            return True
        if not self._table.has(attempt):
            return True
        runs = self._held_runs()
        if runs.expects(attempt.key) is not True or runs.fence(attempt.key.run_id) != attempt.fence:
            # The next holder of its run looks for it, and finds that nobody has begun it.
            self._table.drop(attempt)
            return True
        return False

    def has_begun(self, attempt: WorkerAttempt, worker: Worker, number: object) -> None:
        """`number` as the worker tells it."""
        attempt.number = number if type(number) is int and 0 < number < 2**31 else 1
        attempt.began_at = attempt.began_at or _now_millis()
        worker.taken = max(worker.taken, attempt.number)
        self._waits.forget(attempt.key)
        if attempt.task.deadline_seconds > 0 and attempt.state.phase is Phase.CREATING:
            ran = (_now_millis() - attempt.began_at) / 1000
            left = attempt.task.deadline_seconds - ran
            attempt.after(left, lambda: self._observe(attempt, Observation.DEADLINE_PASSED))
        self._observe(attempt, Observation.STARTED)

    # --- attempts of an earlier holder -----------------------------------------------------------------------------

    async def _looked_for(self, attempt: WorkerAttempt) -> None:
        runs, key = self._held_runs(), attempt.key

        def held() -> bool:
            return runs.expects(key) is not None and runs.fence(key.run_id) == attempt.fence

        while True:
            try:
                begun = await self._fences.begun(attempt.namespace, key.run_id, attempt.fence, held)
                break
            except FencedOffError:
                self._table.drop(attempt)
                return
            except Exception:
                # A defect of ours. It is not known whether the attempt was begun, so it is asked again.
                log.exception("it cannot be found out what was begun of run %s", key.run_id)
                await asyncio.sleep(_DEFECT_SECONDS)
        if not self._table.has(attempt) or not held():
            # What was found is of another time.
            self._table.drop(attempt)
            return
        found = begun.attempts.get(attempt.identity)
        if found is not None and found.worker is not None and not found.forgotten:
            self._adopt(attempt, found.worker, found)
        elif found is not None or begun.uncertain or attempt.task.seen_running:
            text = "the worker in which the task ran is gone, and nobody saw how it ended"
            self._observe(attempt, Observation.NOT_CREATED, attempt.failed(FailureKind.INFRASTRUCTURE, text))
        else:
            self.by_itself(attempt, "an executor before this one may have begun it")

    def _adopt(self, attempt: WorkerAttempt, worker: Worker, found: Found) -> None:
        # Its stream may have been closed since, as nobody needed it.
        worker = worker if worker.gone else self._fleet.follow(worker.view)
        attempt.log_mark = found.log_mark or attempt.log_mark
        attempt.had_ended = not found.runs
        attempt.began_at = _now_millis() - int(found.seconds * 1000)
        before = worker.adopt(attempt)
        if before is not None:
            self._queues.begun(worker, before)
            before.cancel_timers()
        if worker.gone:
            self._lost_with(worker, attempt)
            return
        # Nobody may have talked to it for a while.
        self._fleet.follow(worker.view)
        self.has_begun(attempt, worker, found.number)
        self._background.begin(self._watched(worker, attempt))

    def _follow(self, worker: Worker, attempt: WorkerAttempt) -> None:
        self._background.begin(self._watched(worker, attempt))
        if attempt.state.phase is Phase.STOPPING:
            self._background.begin(self._stop(attempt, at_once=False))

    async def _watched(self, worker: Worker, attempt: WorkerAttempt) -> None:
        """Asks a worker for an attempt that is followed there: it answers, and tells its end behind that."""
        if worker.link is None or attempt.being_given:
            # What is being given is answered by itself.
            return
        runs, run_id = self._held_runs(), attempt.key.run_id
        fence = runs.fence(run_id)
        message = {"op": "watch", "id": attempt.identity, "run_id": run_id, "fence": fence}
        try:
            answer = await worker.link.ask(message)
        except (LinkDownError, LinkLostError):
            return
        if answer is None or not worker.has(attempt):
            return
        if answer["event"] == "refused":
            if runs.expects(attempt.key) is None:
                # Another executor follows it, and has it forgotten. Until then the worker's Pod is kept.
                worker.give_up(attempt)
                self._queues.begun(worker, attempt)
                self._table.drop(attempt)
            # Else the run was claimed again, and the worker is asked again; or it is about to be lost (`_obey`).
        elif not attempt.number:
            self._queues.answered(worker, attempt, answer)

    def by_itself(self, attempt: WorkerAttempt, reason: str) -> None:
        """Launches it in a Pod of its own."""
        self._own_pods.give(attempt, reason)

    # --- what workers say ------------------------------------------------------------------------------------------

    def _linked(self, worker: Worker) -> None:
        for attempt in list(worker.followed.values()):
            self._follow(worker, attempt)
        if worker.forgetting:
            self._background.begin(self._forgotten(worker))

    def _told(self, worker: Worker, message: Message) -> None:
        if message["event"] == "ended":
            # Behind what was answered before it.
            asyncio.get_running_loop().call_soon(self._has_ended, worker, message)

    def _has_ended(self, worker: Worker, message: Message) -> None:
        attempt = worker.followed.pop(str(message.get("id")), None)
        if attempt is None:
            return
        if worker.attempt is attempt:
            worker.attempt = None
        if not attempt.number:
            self._queues.begun(worker, attempt)
            self.has_begun(attempt, worker, worker.taken)
        attempt.result = told_result(message)
        failed = None
        if attempt.result is None:
            text = "what the worker told of the attempt's end is no result that this version can read"
            failed = attempt.failed(FailureKind.INFRASTRUCTURE, text)
        self._observe(attempt, Observation.ENDED, failed)

    def _may_go(self, worker: Worker) -> bool:
        """Whether whoever takes runs over knows without the worker's Pod what was begun there, or may have been.

        What it may have begun counts as begun from now on: when its Pod has gone, nobody can tell any more.
        """
        for attempt in list(worker.followed.values()):
            if not attempt.number:
                self._begun_or_not(worker, attempt)
        runs = self._held_runs()
        here = {
            one.identity
            for one in self._table
            if one.worker is worker and one.state.phase is not Phase.ENDED and runs.start_committed(one.key)
        }
        begun = worker.kept | (begun_by(worker.view) or frozenset())
        return begun <= here | worker.settled

    def _begun_or_not(self, worker: Worker, attempt: WorkerAttempt) -> bool:
        """Of one that a worker without an agent was told to begin. What nobody can tell counts as begun."""
        begun = begun_by(worker.view)
        if begun is not None and attempt.identity not in begun and self._queues.not_begun(worker, attempt):
            return False
        self._queues.begun(worker, attempt)
        self.has_begun(attempt, worker, worker.taken + 1)
        return True

    def _worker_ended(self, worker: Worker) -> None:
        for attempt in list(worker.followed.values()):
            self._lost_with(worker, attempt)

    def _lost_with(self, worker: Worker, attempt: WorkerAttempt) -> None:
        """The worker is over, and has not told how the attempt ended."""
        if not attempt.number and not self._begun_or_not(worker, attempt):
            return
        worker.followed.pop(attempt.identity, None)
        if worker.attempt is attempt:
            worker.attempt = None
        seen = worker.view.ended and not attempt.had_ended
        self._observe(attempt, Observation.ENDED if seen else Observation.GONE)

    # --- acting: what follows from it ------------------------------------------------------------------------------

    def _observe(self, attempt: WorkerAttempt, observation: Observation, outcome: TaskOutcome | None = None) -> None:
        if not self._table.has(attempt):
            # It was launched anew since, or is another executor's.
            return
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
            self._end(attempt, lost(attempt))
        elif action is Action.HAND_BACK:
            self._table.drop(attempt)
        # WITHDRAW: whoever gives it to a worker, or makes its Pod, asks for the state before.

    async def _stop(self, attempt: WorkerAttempt, *, at_once: bool) -> None:
        worker, run_id = attempt.worker, attempt.key.run_id
        if worker is None or worker.link is None or attempt.state.phase is not Phase.STOPPING:
            return
        if not at_once:
            grace = self._settings.cancel_grace_seconds
            attempt.after(grace, lambda: self._background.begin(self._stop(attempt, at_once=True)))
        fence = self._held_runs().fence(run_id)
        message = {"op": "cancel", "id": attempt.identity, "run_id": run_id, "fence": fence, "at_once": at_once}
        try:
            await worker.link.ask(message)
        except (LinkDownError, LinkLostError):
            # Asked again when there is a stream; a worker that cannot be reached for long is removed.
            return

    async def _concluded(self, attempt: WorkerAttempt, outcome: TaskOutcome | None) -> None:
        self._observe(
            attempt, Observation.CONCLUDED, await concluded(attempt, self._calls) if outcome is None else outcome
        )

    def _end(self, attempt: WorkerAttempt, outcome: TaskOutcome) -> None:
        self._table.end(attempt)
        self._deliver(outcome)
        if self._held_runs().expects(attempt.key) is None:
            self._table.remove_ended(attempt)

    async def _forgotten(self, worker: Worker) -> None:
        """Tells a worker whose results are committed, each once: those that come meanwhile are told behind."""
        if worker.is_told_to_forget:
            return
        worker.is_told_to_forget = True
        try:
            while worker.forgetting and worker.link is not None:
                identity, (run_id, fence) = next(iter(worker.forgetting.items()))
                await worker.link.ask({"op": "forget", "id": identity, "run_id": run_id, "fence": fence})
                worker.forgetting.pop(identity, None)
                worker.kept.discard(identity)
        except (LinkDownError, LinkLostError):
            # Told again when there is a stream.
            return
        finally:
            worker.is_told_to_forget = False
        if worker.idle and worker.pool is not None:
            # It may have had no room for the result of one more.
            self._queues.match(worker.pool)


def _now_millis() -> int:
    return time.time_ns() // 1_000_000
