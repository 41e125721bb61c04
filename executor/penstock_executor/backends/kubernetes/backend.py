"""Runs tasks as Pods (docs/pods.md): creates them, follows them by one watch per namespace, says how they ended.

The path of an attempt: its namespace's configuration -> Pod (`pod_spec`) -> create or adopt (`launching`) -> watch ->
result (`conclusion`) -> outcome -> committed by the shell -> log archived and Pod removed (`retention`). What follows
from what is seen of a Pod is decided in `attempt_life`; here are the I/O and the Pod's side of it.

Invariants: an outcome is delivered once, and only when no process of the attempt can be running any more: after its Pod
ended or is gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from penstock_ir.event_log import FailureKind
from penstock_kube.client import KubeClient
from penstock_kube.errors import KubeError
from penstock_kube.reflector import EventKind
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.attempt_life import Action, Observation, Phase, StopReason, step
from penstock_executor.backends.base import BackendUnavailableError, HeldRuns, LeaseUncertainError, NoCapacityError
from penstock_executor.backends.errors import LaunchFailedError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import CreateAbandonedError, PodCalls
from penstock_executor.backends.kubernetes.capacity import Capacity
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.conclusion import Conclusion
from penstock_executor.backends.kubernetes.give_up import when_to_give_up
from penstock_executor.backends.kubernetes.launching import PodLauncher
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig, Namespaces, PodListener
from penstock_executor.backends.kubernetes.pod_attempt import PodAttempt
from penstock_executor.backends.kubernetes.retention import EndedPod, Retention
from penstock_executor.backends.kubernetes.sessions import Sessions
from penstock_executor.backends.kubernetes.verdict import Failure, disruption
from penstock_executor.backends.kubernetes.view import PodGlance, PodView
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.waiting import wait_of
from penstock_executor.backends.kubernetes.workers.attempts import WorkerAttempts
from penstock_executor.backends.orphans import OrphanCollector
from penstock_executor.background import Background
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import attempt_id, log_uri

log = logging.getLogger(__name__)

_ARCHIVE_BEFORE_CANCEL_SECONDS = 10.0
# How far the log may be ahead of the deletion that ends its program.
_LOG_AHEAD_SECONDS = 0.5
_FORCE_AFTER_SECONDS = 120.0


class _Deciding:
    """It is being found out what takes an attempt; whether it was cancelled meanwhile."""

    def __init__(self) -> None:
        self.canceled = False
        self.done = asyncio.Event()


class KubernetesBackend:
    def __init__(
        self,
        client: KubeClient,
        namespaces: Callable[[PodListener], Namespaces],
        calls: PodCalls,
        sessions: Callable[[Callable[[str], Awaitable[NamespaceConfig]]], Sessions],
        claims: ClaimTasks,
        settings: BackendSettings,
    ) -> None:
        """`client` reaches the agents of workers. `namespaces(listener)` builds the watches that report to it,
        `sessions(config_of)` what keeps the credentials of attempts by what holds in their namespaces."""
        self._attempts: dict[AttemptKey, PodAttempt] = {}
        self._namespaces = namespaces(
            PodListener(self._on_pod, self._on_glance, self._on_news, self._attempts.__contains__)
        )
        self._waits = WaitReporter(self._tell_wait)
        self._calls = calls
        self._claims = claims
        self._settings = settings
        self._conclusion = Conclusion(calls, self._namespaces.store)
        self._retention = Retention(calls, self._namespaces.store, settings.retention)
        self._capacity = Capacity(settings.bounds)
        self._sessions = sessions(self._namespaces.get)
        self._launcher = PodLauncher(self._namespaces, calls, claims, self._capacity, self._sessions, settings)
        self._workers = WorkerAttempts(
            client, calls, self._namespaces, claims, self._capacity, settings, self._launch_pod
        )
        self._deciding: dict[AttemptKey, _Deciding] = {}
        self._background = Background("the Kubernetes backend")
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        self._workers.start(deliver, runs)
        orphans = OrphanCollector(runs, self._pods, self._is_busy, self._adopt_orphan, self._settings.orphan_seconds)
        self._background.begin(self._retention.work())
        self._background.begin(orphans.work())
        self._background.begin(self._claims.collect(self._namespaces.watched, runs, self._settings.orphan_seconds))
        self._background.begin(self._open_default_namespace())

    async def default_root(self, namespace: str) -> str:
        try:
            config = await self._namespaces.get(namespace or self._settings.pods.default_namespace)
        except (KubeError, ArtifactStoreError, ValueError) as error:
            if is_transient(error):
                raise BackendUnavailableError(str(error)) from error
            # What is wrong with the namespace is told by the run's first task, where its user sees it.
            return ""
        return config.store_config.default_root

    async def store(self, namespace: str) -> ArtifactStore:
        try:
            config = await self._namespaces.get(namespace or self._settings.pods.default_namespace)
        except (KubeError, ValueError) as error:
            if is_transient(error):
                raise BackendUnavailableError(str(error)) from error
            raise ArtifactStoreError(str(error)) from error
        return config.store

    async def launch(self, task: TaskLaunch) -> None:
        key = task.key
        while key in self._deciding:
            # Its run may have been another executor's since: then what is decided there does not hold.
            await self._deciding[key].done.wait()
        if key in self._attempts:
            await self._launch_pod(task, "")
        else:
            deciding = self._deciding[key] = _Deciding()
            try:
                placement = await self._workers.takes(task)
            finally:
                del self._deciding[key]
                deciding.done.set()
            if placement is not None:
                await self._launch_pod(task, placement, canceled=deciding.canceled)
            elif deciding.canceled:
                await self.cancel(key)

    async def _launch_pod(self, task: TaskLaunch, placement: str, *, canceled: bool = False) -> None:
        """In a Pod of its own; raises as `launch`. `canceled`: meanwhile."""
        known = self._attempts.get(task.key)
        if known is not None and known.state.phase is not Phase.ENDED:
            self._observe(known, Observation.LAUNCHED_AGAIN)
            return
        attempt = PodAttempt(task, task.namespace or self._settings.pods.default_namespace, placement)
        self._attempts[task.key] = attempt
        if canceled:
            self._observe(attempt, Observation.CANCEL_ASKED)
        assert self._runs is not None
        try:
            launched = await self._launcher.launch(attempt, self._runs)
        except LaunchFailedError as error:
            self._observe(attempt, Observation.NOT_CREATED, attempt.failed(error.kind, error.text))
        except CreateAbandonedError:
            if Action.HAND_BACK in self._observe(attempt, Observation.POSTPONED):
                raise LeaseUncertainError(task.pod_name) from None
        except NoCapacityError:
            if Action.HAND_BACK in self._observe(attempt, Observation.POSTPONED):
                self._capacity.cancel(task.key)
                raise
        else:
            if isinstance(launched, TaskOutcome):
                self._observe(attempt, Observation.NOT_CREATED, launched)
            else:
                self._capacity.pod_seen(launched)
                self._pod_seen(attempt, launched)
                self._keep_credentials(attempt, launched)

    def _keep_credentials(self, attempt: PodAttempt, view: PodView) -> None:
        needs_none = attempt.keys is not None and not attempt.keys
        if attempt.state.phase is not Phase.ENDED and attempt.keeping is None and not needs_none:
            keeping = self._sessions.keep(attempt, view, lambda failure: self._give_up(attempt, failure))
            attempt.keeping = self._background.begin(keeping)

    def places(self, namespace: str) -> int:
        return self._capacity.most

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        namespace = namespace or self._settings.pods.default_namespace
        return self._workers.full(namespace) or self._capacity.reserve(key, namespace)

    def unreserve(self, key: AttemptKey) -> None:
        self._capacity.cancel(key)

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._observe(attempt, Observation.CANCEL_ASKED)
        elif self._workers.knows(key):
            self._workers.cancel(key)
        elif key in self._deciding:
            self._deciding[key].canceled = True

    def release(self, key: AttemptKey) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is None and self._workers.knows(key):
            self._workers.release(key)
        elif attempt is not None and attempt.view is not None and not attempt.deleting:
            uri = "" if attempt.log_stored else log_uri(attempt.task.task_root)
            self._retention.put(EndedPod(attempt.view, attempt.succeeded, uri))

    async def forget(self, run_id: str) -> None:
        self._workers.forget(run_id)
        await self._claims.forget(run_id)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            attempt.cancel_timer()
        self._background.cancel()
        self._workers.close()
        self._waits.close()
        self._namespaces.close()
        self._sessions.close()

    async def _open_default_namespace(self) -> None:
        """So that what a predecessor left there is seen although nothing is launched yet."""
        namespace = self._settings.pods.default_namespace
        said = "namespace %s cannot be used yet: %s"
        try:
            await retried(
                lambda: self._namespaces.get(namespace),
                failed=lambda error: log.warning(said, namespace, error),
            )
        except (KubeError, ArtifactStoreError, ValueError) as error:
            log.warning(said, namespace, error)

    # --- following: what is seen of Pods ---------------------------------------------------------------------------

    def _on_pod(self, kind: EventKind, view: PodView) -> None:
        if view.worker:
            self._workers.pod_event(kind, view)
            return
        attempt = self._attempts.get(view.key) if view.key is not None else None
        if kind is EventKind.DELETED:
            self._retention.gone(view)
        if attempt is not None and not attempt.is_its_pod(view):
            return
        if kind is EventKind.DELETED:
            self._capacity.pod_gone(view)
        else:
            self._capacity.pod_seen(view)
        if attempt is None or (attempt.view is not None and attempt.view.uid != view.uid):
            return
        if kind is not EventKind.DELETED:
            self._pod_seen(attempt, view)
        elif attempt.state.phase not in (Phase.CONCLUDING, Phase.ENDED):
            attempt.view = view
            self._observe(attempt, Observation.ENDED if view.ended or attempt.draining else Observation.GONE)

    def _on_glance(self, kind: EventKind, glance: PodGlance) -> None:
        """As `_on_pod` of a Pod that no attempt of ours has: it takes a place all the same."""
        if kind is EventKind.DELETED:
            self._retention.gone(glance)
            self._capacity.pod_gone(glance)
        else:
            self._capacity.pod_seen(glance)

    def _on_news(self, namespace: str, pod: str, uid: str) -> None:
        pods = self._namespaces.watched()[namespace]
        known = pods.peek(pod)
        attempt = self._attempts.get(known.key) if known is not None and known.key is not None else None
        # There is news of everybody's Pods: those of others are not read for it.
        view = pods.cache.get(pod) if attempt is not None else None
        if view is None or attempt is None or view.uid != uid or not attempt.is_its_pod(view):
            return
        if not (view.ended or view.deleted_at):
            self._check_progress(attempt, view)

    def _pod_seen(self, attempt: PodAttempt, view: PodView) -> None:
        """The attempt's Pod as it is now."""
        if attempt.state.phase is Phase.ENDED:
            return
        if attempt.view is not None and attempt.view.gates and not view.gates:
            attempt.ungated_at = time.time_ns() // 1_000_000
        attempt.view = view
        self._observe(attempt, Observation.STARTED if view.started_at else Observation.CREATED)
        if view.ended:
            self._observe(attempt, Observation.ENDED)
        elif view.only_sidecars_run and not (
            self._settings.wait_for_sidecars or (attempt.draining and view.deleted_at)
        ):
            self._leave_sidecars(attempt, view)
        elif view.deleted_at:
            attempt.set_timer(view.deleted_at + int(_FORCE_AFTER_SECONDS * 1000), lambda: self._force(attempt))
        else:
            self._check_progress(attempt, view)

    def _leave_sidecars(self, attempt: PodAttempt, view: PodView) -> None:
        """The task is over; what others brought into its Pod (a service mesh, a log shipper) may run for ever."""
        agent = view.container("agent")
        if agent is None or agent.terminated is not None:
            self._observe(attempt, Observation.ENDED)
        elif not attempt.draining:
            # It waits for SIGTERM, which comes when all the other containers have ended, or with the Pod's end.
            attempt.draining = True
            self._background.begin(self._calls.delete(view.namespace, view.name, view.uid))

    def _check_progress(self, attempt: PodAttempt, view: PodView) -> None:
        """Also while the program runs: its agent may be the one that cannot start."""
        if attempt.state.phase not in (Phase.PENDING, Phase.RUNNING):
            return
        warnings, image = self._namespaces.warnings(view), attempt.task.image
        self._waits.update(attempt.key, wait_of(view, warnings, image, self._namespaces.queued(view)))
        give_up = when_to_give_up(view, image, self._settings.deadlines, warnings, attempt.ungated_at)
        if give_up is not None:
            failure = give_up.failure
            attempt.set_timer(give_up.at, lambda: self._give_up(attempt, failure))
        else:
            attempt.cancel_timer()

    def _tell_wait(self, key: AttemptKey, text: str) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._deliver(TaskWaiting(key, text, attempt.times()))

    def _give_up(self, attempt: PodAttempt, failure: Failure) -> None:
        attempt.given_up = failure
        self._observe(attempt, Observation.GIVEN_UP)

    def _force(self, attempt: PodAttempt) -> None:
        """Its node does not answer: the Pod would stand in the way for ever."""
        view = attempt.view
        if view is not None and attempt.state.phase is not Phase.ENDED:
            log.warning("Pod %s/%s does not go by itself, it is removed from the API", view.namespace, view.name)
            self._background.begin(self._calls.delete(view.namespace, view.name, view.uid, grace_seconds=0))

    # --- acting: what follows from it ------------------------------------------------------------------------------

    def _observe(
        self, attempt: PodAttempt, observation: Observation, outcome: TaskOutcome | None = None
    ) -> tuple[Action, ...]:
        """`outcome` comes with observations that bring one. Gives the actions, which are carried out."""
        attempt.state, actions = step(attempt.state, observation)
        for action in actions:
            self._carry_out(attempt, action, outcome)
        return actions

    def _carry_out(self, attempt: PodAttempt, action: Action, outcome: TaskOutcome | None) -> None:
        view = attempt.view
        if action is Action.REPORT_START:
            assert view is not None
            uri = log_uri(attempt.task.task_root)
            self._deliver(TaskStarted(attempt.key, attempt.started_at(view), uri, view.name, attempt.times()))
        elif action is Action.STOP:
            assert view is not None
            self._background.begin(self._delete(attempt, view))
        elif action is Action.READ_OUTCOME:
            assert view is not None
            self._background.begin(self._conclude(attempt, view))
        elif action is Action.DELIVER:
            assert outcome is not None
            self._end(attempt, outcome)
        elif action is Action.DELIVER_STOPPED:
            self._end(attempt, attempt.failed(*_why_stopped(attempt)))
        elif action is Action.DELIVER_LOST:
            text = f"the Pod {attempt.task.pod_name} was deleted by somebody else while it ran"
            failure = disruption(view) if view is not None else None
            failure = failure or Failure(FailureKind.INFRASTRUCTURE, text)
            self._end(attempt, attempt.failed(failure.kind, failure.text, failure.cause))
        elif action is Action.HAND_BACK:
            self._attempts.pop(attempt.key, None)
        # WITHDRAW: whoever creates the Pod asks for the state before each try (`launching`).

    async def _delete(self, attempt: PodAttempt, view: PodView) -> None:
        if attempt.deleting:
            return
        attempt.deleting = True
        agent = view.container("agent")
        if view.started_at and (agent is None or agent.terminated is not None):
            # It can be read until the last container is gone, so no Pod is kept for all of it.
            await asyncio.wait({self._background.begin(self._keep_log(attempt, view))}, timeout=_LOG_AHEAD_SECONDS)
        try:
            await self._calls.delete(view.namespace, view.name, view.uid, self._settings.cancel_grace_seconds)
        except KubeError as error:
            log.error("Pod %s/%s cannot be removed: %s", view.namespace, view.name, error)
            self._observe(attempt, Observation.STOP_REFUSED)

    async def _keep_log(self, attempt: PodAttempt, view: PodView) -> None:
        try:
            limit = _ARCHIVE_BEFORE_CANCEL_SECONDS
            await asyncio.wait_for(self._retention.archive(view, log_uri(attempt.task.task_root)), limit)
        except (KubeError, ArtifactStoreError, OSError, asyncio.TimeoutError) as error:
            log.info("Pod %s: its log could not be kept: %s", view.name, error)

    async def _conclude(self, attempt: PodAttempt, view: PodView) -> None:
        if attempt.draining:
            # We deleted it, after its program had ended: that is not how it ended.
            view = replace(view, delete_asked_at=0)
        try:
            canceled = attempt.state.stop is StopReason.CANCELED
            outcome, attempt.log_stored = await self._conclusion.outcome(attempt.task, view, canceled=canceled)
        except Exception as error:
            # A defect of ours, or a status nobody has seen yet: one attempt's end, not the executor's.
            log.exception("Pod %s: its end cannot be understood", view.name)
            text = f"the end of the Pod was not understood: {error}"
            outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
        self._observe(attempt, Observation.CONCLUDED, outcome)

    def _end(self, attempt: PodAttempt, outcome: TaskOutcome) -> None:
        if attempt.placement and not outcome.times.placement:
            outcome = replace(outcome, times=replace(outcome.times, placement=attempt.placement))
        self._waits.forget(attempt.key)
        attempt.succeeded = outcome.succeeded
        attempt.cancel_timer()
        if attempt.keeping is not None:
            attempt.keeping.cancel()
        self._deliver(outcome)
        if self._runs is not None and self._runs.expects(attempt.key) is None:
            # Nobody here waits for it, so nobody will release it: its Pod is the next holder's, or the collector's.
            self._attempts.pop(attempt.key, None)

    # --- orphans ---------------------------------------------------------------------------------------------------

    async def _pods(self) -> list[PodView | PodGlance]:
        watched = self._namespaces.watched().values()
        return [pod for reflector in watched for pod in reflector.known() if not pod.deleted_at]

    def _is_busy(self, pod: PodView | PodGlance) -> bool:
        return pod.key in self._attempts or self._retention.has(pod)

    def _adopt_orphan(self, pod: PodView | PodGlance) -> None:
        view = self._namespaces.watched()[pod.namespace].cache.get(pod.name)
        if view is None or view.uid != pod.uid:
            return
        # An agent archived the log itself; of a Pod that never began there is none.
        archive = (view.ended or view.only_sidecars_run) and view.started_at and view.container("agent") is None
        uri = view.log_uri if archive and _is_own_log(view) else ""
        self._retention.put(EndedPod(view, view.phase == "Succeeded", uri))


def _is_own_log(view: PodView) -> bool:
    """Whether the log's place is the attempt's own: whoever may make Pods in the namespace may make one like ours."""
    key = view.key
    if key is None:
        return False
    segments = view.log_uri.split("/")
    attempt = attempt_id(key.run_id, key.path, key.attempt)
    return ".." not in segments and (segments[-4:-3], segments[-2:]) == ([key.run_id], [attempt, "executor-logs"])


def _why_stopped(attempt: PodAttempt) -> tuple[FailureKind, str]:
    if attempt.state.stop is StopReason.GIVEN_UP and attempt.given_up is not None:
        return attempt.given_up.kind, attempt.given_up.text
    text = "the run was terminated" if attempt.view is not None else "the task was ended before it started"
    return FailureKind.CANCELED, text
