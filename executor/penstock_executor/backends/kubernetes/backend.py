"""Runs tasks as Pods (docs/pods.md): creates them, follows them by one watch per namespace, says how they ended.

The path of an attempt: its namespace's configuration -> Pod (`pod_spec`) -> create or adopt -> watch -> result ->
outcome -> committed by the shell -> log archived and Pod removed (`retention`).

Invariants: a Pod's name is a function of its attempt, so creating it twice finds it; nothing is created for a run whose
lease is not certain; an outcome is delivered once, and only when no process of the attempt can be running any more:
after its Pod ended or is gone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError, NotFoundError, QuotaExceededError
from penstock_kube.reflector import EventKind
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.base import BackendUnavailableError, HeldRuns, NoPlaceError, NotHeldError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import NotAllowedError, PodCalls, VanishedError
from penstock_executor.backends.kubernetes.capacity import Capacity
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.conclusion import Conclusion
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.explaining import Explanations
from penstock_executor.backends.kubernetes.namespaces import Namespaces, Place
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.retention import EndedPod, Retention
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.troubles import Trouble
from penstock_executor.backends.kubernetes.verdict import Failure, stuck
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backends.kubernetes.waiting import wait_of
from penstock_executor.backends.orphans import OrphanCollector
from penstock_executor.background import Background
from penstock_executor.backoff import is_transient, retried
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_ARCHIVE_BEFORE_CANCEL_SECONDS = 10.0
# How far the log may be ahead of the deletion that ends its program.
_LOG_AHEAD_SECONDS = 0.5
_FORCE_AFTER_SECONDS = 120.0
_FORBIDDEN = re.compile(r'^pods "[^"]*" is forbidden: ')


@dataclass(slots=True, eq=False)
class _Attempt:
    task: TaskLaunch
    namespace: str
    view: PodView | None = None
    canceled: bool = False
    doomed: Failure | None = None
    """Why we end it, when it is not the run's end."""
    ungated_at: int = 0
    """When its last scheduling gate was seen to go, in milliseconds."""
    started: bool = False
    relieved: bool = False
    """We asked its Pod to go after its program had ended."""
    removing: bool = False
    concluding: bool = False
    finished: bool = False
    logged: bool = False
    succeeded: bool = False
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> AttemptKey:
        return self.task.key


class KubernetesBackend:
    def __init__(
        self,
        namespaces: Callable[[Callable[[EventKind, PodView], None], Callable[[str, Trouble], None]], Namespaces],
        calls: PodCalls,
        claims: ClaimTasks,
        settings: BackendSettings,
    ) -> None:
        """`namespaces(on_pod, on_trouble)` builds the watches that report to both."""
        self._namespaces = namespaces(self._on_pod, self._on_trouble)
        self._explanations = Explanations(lambda key, text: self._deliver(TaskWaiting(key, text)))
        self._calls = calls
        self._claims = claims
        self._settings = settings
        self._conclusion = Conclusion(calls, self._namespaces.store)
        self._retention = Retention(calls, self._namespaces.store, settings.retention)
        self._capacity = Capacity(settings.bounds)
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._background = Background("the Kubernetes backend")
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        orphans = OrphanCollector(runs, self._pods, self._is_busy, self._adopt_orphan, self._settings.orphan_seconds)
        self._background.begin(self._retention.work())
        self._background.begin(orphans.work())
        self._background.begin(self._claims.collect(self._namespaces.watched, runs, self._settings.orphan_seconds))
        self._background.begin(self._open_default_namespace())

    async def default_root(self, namespace: str) -> str:
        try:
            place = await self._namespaces.get(namespace or self._settings.pods.default_namespace)
        except (KubeError, ArtifactStoreError, ValueError) as error:
            if is_transient(error):
                raise BackendUnavailableError(str(error)) from error
            # What is wrong with the namespace is told by the run's first task, where its user sees it.
            return ""
        return place.store_config.default_root

    async def store(self, namespace: str) -> ArtifactStore:
        try:
            place = await self._namespaces.get(namespace or self._settings.pods.default_namespace)
        except (KubeError, ValueError) as error:
            if is_transient(error):
                raise BackendUnavailableError(str(error)) from error
            raise ArtifactStoreError(str(error)) from error
        return place.store

    async def launch(self, task: TaskLaunch) -> None:
        known = self._attempts.get(task.key)
        if known is not None and not known.finished:
            # The run was lost and claimed again meanwhile: what its log does not know yet is told again.
            if known.started and known.view is not None:
                self._tell_start(known, known.view)
            return
        attempt = _Attempt(task, task.namespace or self._settings.pods.default_namespace)
        self._attempts[task.key] = attempt
        try:
            await self._begin(attempt)
        except NotAllowedError:
            if attempt.view is not None:
                return
            if not attempt.canceled:
                self._attempts.pop(task.key, None)
                raise NotHeldError(task.pod_name) from None
            self._end(attempt, Failure(FailureKind.CANCELED, "the task was ended before it started"))
        except NoPlaceError:
            self._attempts.pop(task.key, None)
            self._capacity.cancel(task.key)
            raise
        except VanishedError:
            if attempt.view is None:
                self._end(attempt, self._unseen(task))
        except (PodSpecError, ValueError) as error:
            self._end(attempt, Failure(FailureKind.CONFIGURATION, str(error)))
        except KubeError as error:
            self._end(attempt, self._refused(attempt, error))
        except ArtifactStoreError as error:
            kind = FailureKind.INFRASTRUCTURE if error.transient else FailureKind.CONFIGURATION
            self._end(attempt, Failure(kind, str(error)))

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        return self._capacity.reserve(key, namespace or self._settings.pods.default_namespace)

    def unreserve(self, key: AttemptKey) -> None:
        self._capacity.cancel(key)

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is None or attempt.finished or attempt.canceled:
            return
        attempt.canceled = True
        if attempt.view is not None and not attempt.concluding:
            self._background.begin(self._remove(attempt))

    def release(self, key: AttemptKey) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is not None and attempt.view is not None and not attempt.removing:
            uri = "" if attempt.logged else log_uri(attempt.task.task_root)
            self._retention.put(EndedPod(attempt.view, attempt.succeeded, uri))

    async def forget(self, run_id: str) -> None:
        await self._claims.forget(run_id)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
        self._background.cancel()
        self._explanations.close()
        self._namespaces.close()

    # --- starting --------------------------------------------------------------------------------------------------

    async def _begin(self, attempt: _Attempt) -> None:
        """Adopts the attempt's Pod or makes it; a task that is a claim is carried out by the executor itself."""
        task = attempt.task
        if self._claims.takes(task):
            self._check_leave(attempt)
            self._finish(attempt, await self._claims.outcome(task, attempt.namespace))
            return
        place = await self._place(attempt)
        existing = place.pods.cache.get(task.pod_name)
        if existing is not None:
            self._adopt(attempt, existing)
        elif task.seen_running:
            self._end(attempt, self._unseen(task))
        else:
            self._take_place(attempt)
            await self._create(attempt, place)

    async def _create(self, attempt: _Attempt, place: Place) -> None:
        task = attempt.task
        if task.uses_workspace:
            await self._claims.ensure_workspace(task, attempt.namespace)
        pod = make_pod(task, self._settings.pods, place.policy, TaskStore(place.store_config, task))
        runs = self._runs
        assert runs is not None

        def may_create() -> bool:
            # The watch may have seen what a try without an answer has made, even that it has ended.
            return attempt.view is None and not attempt.canceled and runs.may_act(task.key.run_id)

        # When the lease runs out on the way, the Pod is the next holder's, to be adopted or collected: one that is
        # taken back would have to be made again by a holder for whom the attempt is still to come.
        try:
            document, _ = await self._calls.create(attempt.namespace, pod, may_create)
        except QuotaExceededError as error:
            raise NoPlaceError(self._capacity.refuse(attempt.namespace, error.message)) from error
        self._capacity.made(attempt.namespace)
        if attempt.view is None:
            view = view_of(document)
            self._capacity.see(view)
            self._adopt(attempt, view)
        if attempt.canceled:
            self._background.begin(self._remove(attempt))

    def _take_place(self, attempt: _Attempt) -> None:
        """Raises NoPlaceError, NotAllowedError."""
        if attempt.canceled:
            raise NotAllowedError(attempt.task.pod_name)
        why = self._capacity.reserve(attempt.key, attempt.namespace)
        if why:
            raise NoPlaceError(why)

    async def _place(self, attempt: _Attempt) -> Place:
        """What holds in the attempt's namespace, however long its API server is away. Raises as `Namespaces.get`."""

        def failed(error: BaseException) -> None:
            log.warning("task %s waits for namespace %s: %s", attempt.key.path, attempt.namespace, error)
            self._check_leave(attempt)

        return await retried(lambda: self._namespaces.get(attempt.namespace), failed=failed)

    def _check_leave(self, attempt: _Attempt) -> None:
        assert self._runs is not None
        if attempt.canceled or not self._runs.may_act(attempt.key.run_id):
            raise NotAllowedError(attempt.task.pod_name)

    def _adopt(self, attempt: _Attempt, view: PodView) -> None:
        if view.key != attempt.key:
            text = f"a Pod named {view.name} exists in {view.namespace} that is not this task's; remove it"
            self._end(attempt, Failure(FailureKind.CONFIGURATION, text))
            return
        self._observe(attempt, view)

    @staticmethod
    def _unseen(task: TaskLaunch) -> Failure:
        text = f"the Pod {task.pod_name} is gone, and nobody saw how it ended"
        return Failure(FailureKind.INFRASTRUCTURE, text)

    @staticmethod
    def _refused(attempt: _Attempt, error: KubeError) -> Failure:
        if isinstance(error, NotFoundError):
            text = f"the namespace {attempt.namespace!r} does not exist"
            return Failure(FailureKind.CONFIGURATION, text)
        said = _FORBIDDEN.sub("", str(error))
        return Failure(FailureKind.CONFIGURATION, f"Kubernetes refuses the task's Pod: {said}")

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

    # --- following -------------------------------------------------------------------------------------------------

    def _on_pod(self, kind: EventKind, view: PodView) -> None:
        attempt = self._attempts.get(view.key) if view.key is not None else None
        if kind is EventKind.DELETED:
            self._retention.gone(view)
            self._capacity.gone(view)
        else:
            self._capacity.see(view)
        if attempt is None or attempt.finished or (attempt.view is not None and attempt.view.uid != view.uid):
            return
        if kind is EventKind.DELETED:
            self._gone(attempt, view)
        else:
            self._observe(attempt, view)

    def _on_trouble(self, namespace: str, trouble: Trouble) -> None:
        view = self._namespaces.watched()[namespace].cache.get(trouble.pod)
        attempt = self._attempts.get(view.key) if view is not None and view.key is not None else None
        if view is None or attempt is None or attempt.finished or view.uid != trouble.uid:
            return
        if not (view.ended or view.deleted_at):
            self._look_for_trouble(attempt, view)

    def _observe(self, attempt: _Attempt, view: PodView) -> None:
        if attempt.view is not None and attempt.view.gates and not view.gates:
            attempt.ungated_at = time.time_ns() // 1_000_000
        attempt.view = view
        started = view.started_at
        if started and not attempt.started:
            attempt.started = True
            self._tell_start(attempt, view)
        if view.ended:
            self._conclude(attempt, view)
        elif view.left_over and not (self._settings.wait_for_sidecars or (attempt.relieved and view.deleted_at)):
            self._leave_sidecars(attempt, view)
        elif view.deleted_at:
            self._arm(attempt, view.deleted_at + int(_FORCE_AFTER_SECONDS * 1000), lambda: self._force(attempt))
        else:
            self._look_for_trouble(attempt, view)

    def _leave_sidecars(self, attempt: _Attempt, view: PodView) -> None:
        """The task is over; what others brought into its Pod (a service mesh, a log shipper) may run for ever."""
        agent = view.container("agent")
        if agent is None or agent.terminated is not None:
            self._conclude(attempt, view)
        elif not attempt.relieved:
            # It waits for SIGTERM, which comes when all the other containers have ended, or with the Pod's end.
            attempt.relieved = True
            self._background.begin(self._calls.delete(view.namespace, view.name, view.uid))

    def _tell_start(self, attempt: _Attempt, view: PodView) -> None:
        self._deliver(TaskStarted(attempt.key, view.started_at, log_uri(attempt.task.task_root), view.name))

    def _look_for_trouble(self, attempt: _Attempt, view: PodView) -> None:
        """Also while the program runs or waits: its agent may be the one that cannot start."""
        if attempt.doomed is not None or attempt.canceled:
            return
        troubles, image = self._namespaces.troubles(view), attempt.task.image
        self._explanations.look(attempt.key, wait_of(view, troubles, image))
        hopeless = stuck(view, image, self._settings.deadlines, troubles, attempt.ungated_at)
        if hopeless is not None:
            failure = hopeless.failure
            self._arm(attempt, hopeless.at, lambda: self._doom(attempt, failure))
        elif attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None

    def _arm(self, attempt: _Attempt, at_millis: int, act: Callable[[], None]) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
        left = max(0.0, at_millis / 1000 - time.time())
        attempt.timer = asyncio.get_running_loop().call_later(left, act)

    def _doom(self, attempt: _Attempt, failure: Failure) -> None:
        if attempt.finished or attempt.concluding or attempt.canceled:
            return
        attempt.doomed = failure
        self._background.begin(self._remove(attempt))

    def _force(self, attempt: _Attempt) -> None:
        """Its node does not answer: the Pod would stand in the way for ever."""
        view = attempt.view
        if view is not None and not attempt.finished:
            log.warning("Pod %s/%s does not go by itself, it is removed from the API", view.namespace, view.name)
            self._background.begin(self._calls.delete(view.namespace, view.name, view.uid, grace_seconds=0))

    # --- ending ----------------------------------------------------------------------------------------------------

    async def _remove(self, attempt: _Attempt) -> None:
        view = attempt.view
        if view is None or attempt.removing:
            return
        attempt.removing = True
        agent = view.container("agent")
        if view.started_at and (agent is None or agent.terminated is not None):
            # It can be read until the last container is gone, so no Pod is kept for all of it.
            await asyncio.wait({self._background.begin(self._keep_log(attempt, view))}, timeout=_LOG_AHEAD_SECONDS)
        try:
            await self._calls.delete(view.namespace, view.name, view.uid, self._settings.cancel_grace_seconds)
        except KubeError as error:
            log.error("Pod %s/%s cannot be removed: %s", view.namespace, view.name, error)
            if attempt.doomed is not None:
                self._end(attempt, attempt.doomed)

    async def _keep_log(self, attempt: _Attempt, view: PodView) -> None:
        try:
            limit = _ARCHIVE_BEFORE_CANCEL_SECONDS
            await asyncio.wait_for(self._retention.archive(view, log_uri(attempt.task.task_root)), limit)
        except (KubeError, ArtifactStoreError, OSError, asyncio.TimeoutError) as error:
            log.info("Pod %s: its log could not be kept: %s", view.name, error)

    def _conclude(self, attempt: _Attempt, view: PodView) -> None:
        if attempt.concluding or attempt.finished:
            return
        attempt.concluding = True
        if attempt.doomed is not None:
            # How it ended when it was made to is not why.
            self._end(attempt, attempt.doomed)
        else:
            self._background.begin(self._concluded(attempt, view))

    async def _concluded(self, attempt: _Attempt, view: PodView) -> None:
        canceled = attempt.canceled
        if attempt.relieved:
            # It was asked to go by us, after its program had ended.
            view = replace(view, delete_asked_at=0)
        try:
            outcome, logged = await self._conclusion.outcome(attempt.task, view, canceled=canceled)
        except Exception as error:
            # A defect of ours, or a status nobody has seen yet: one attempt's end, not the executor's.
            log.exception("Pod %s: its end cannot be understood", view.name)
            self._end(attempt, Failure(FailureKind.INFRASTRUCTURE, f"the end of the Pod was not understood: {error}"))
            return
        attempt.logged = logged
        self._finish(attempt, outcome)

    def _gone(self, attempt: _Attempt, view: PodView) -> None:
        if attempt.concluding:
            return
        if view.ended or attempt.relieved:
            self._conclude(attempt, view)
        elif attempt.canceled:
            self._end(attempt, Failure(FailureKind.CANCELED, "the run was terminated"))
        elif attempt.doomed is not None:
            self._end(attempt, attempt.doomed)
        else:
            text = f"the Pod {view.name} was deleted by somebody else while it ran"
            self._end(attempt, Failure(FailureKind.INFRASTRUCTURE, text))

    def _end(self, attempt: _Attempt, failure: Failure) -> None:
        view = attempt.view
        now = time.time_ns() // 1_000_000
        started = view.started_at if view is not None else 0
        self._finish(
            attempt,
            TaskOutcome(
                key=attempt.key,
                started_at_millis=started or now,
                finished_at_millis=now,
                failure=failure.kind,
                error=failure.text[:4096],
                log_uri=log_uri(attempt.task.task_root) if started else "",
                pod_name=attempt.task.pod_name,
            ),
        )

    def _finish(self, attempt: _Attempt, outcome: TaskOutcome) -> None:
        if attempt.finished:
            return
        attempt.finished = True
        self._explanations.forget(attempt.key)
        attempt.succeeded = outcome.succeeded
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._deliver(outcome)
        if self._runs is not None and self._runs.expects(attempt.key) is None:
            # Nobody here waits for it, so nobody will release it: its Pod is the next holder's, or the collector's.
            self._attempts.pop(attempt.key, None)

    # --- orphans ---------------------------------------------------------------------------------------------------

    async def _pods(self) -> list[PodView]:
        watched = self._namespaces.watched().values()
        return [view for reflector in watched for view in list(reflector.cache.values()) if not view.deleted_at]

    def _is_busy(self, view: PodView) -> bool:
        return view.key in self._attempts or self._retention.has(view)

    def _adopt_orphan(self, view: PodView) -> None:
        # An agent archived the log itself; of a Pod that never began there is none.
        archive = (view.ended or view.left_over) and view.started_at and view.container("agent") is None
        self._retention.put(EndedPod(view, view.phase == "Succeeded", view.log_uri if archive else ""))
