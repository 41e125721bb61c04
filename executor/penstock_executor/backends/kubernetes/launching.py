"""From a task to its Pod: adopted when it exists, created otherwise.

Invariants: a Pod's name is a function of its attempt, so creating it twice finds it; nothing is created for a run whose
lease is not certain, for a canceled attempt, or for one whose Pod was seen already. An attempt that is known to have
started is adopted or is gone; it is never created again.
"""

from __future__ import annotations

import logging
import re

from penstock_ir.event_log import FailureKind
from penstock_kube.errors import KubeError, NotFoundError, QuotaExceededError
from penstock_store.base import ArtifactStoreError

from penstock_executor.attempts import TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import Phase
from penstock_executor.backends.base import HeldRuns, NoCapacityError
from penstock_executor.backends.errors import LaunchFailedError
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import CreateAbandonedError, PodCalls, PodVanishedError
from penstock_executor.backends.kubernetes.capacity import Capacity, never_fits
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig, Namespaces
from penstock_executor.backends.kubernetes.pod_attempt import PodAttempt
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.sessions import Sessions
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backoff import retried

log = logging.getLogger(__name__)

_FORBIDDEN = re.compile(r'^pods "[^"]*" is forbidden: ')


class PodLauncher:
    def __init__(
        self,
        namespaces: Namespaces,
        calls: PodCalls,
        claims: ClaimTasks,
        capacity: Capacity,
        sessions: Sessions,
        settings: BackendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._calls = calls
        self._claims = claims
        self._capacity = capacity
        self._sessions = sessions
        self._settings = settings

    async def launch(self, attempt: PodAttempt, runs: HeldRuns) -> PodView | TaskOutcome:
        """The attempt's Pod; or the outcome of a task that is a volume claim, which the executor carries out itself.

        Raises LaunchFailedError; CreateAbandonedError, NoCapacityError when no Pod was created for now.
        """
        task = attempt.task
        try:
            if self._claims.takes(task):
                config = await self._namespace(attempt, runs)
                _check_allowed(attempt, runs)
                return await self._claims.outcome(task, attempt.namespace, config.policy)
            view = await self._adopt_or_create(attempt, runs)
        except PodVanishedError:
            raise _gone(task) from None
        except (PodSpecError, ValueError) as error:
            raise LaunchFailedError(FailureKind.CONFIGURATION, str(error)) from error
        except KubeError as error:
            raise LaunchFailedError(FailureKind.CONFIGURATION, _refusal(attempt, error)) from error
        except ArtifactStoreError as error:
            kind = FailureKind.INFRASTRUCTURE if error.transient else FailureKind.CONFIGURATION
            raise LaunchFailedError(kind, str(error)) from error
        if view.key != attempt.key:
            text = f"a Pod named {view.name} exists in {view.namespace} that is not this task's; remove it"
            raise LaunchFailedError(FailureKind.CONFIGURATION, text)
        return view

    async def _adopt_or_create(self, attempt: PodAttempt, runs: HeldRuns) -> PodView:
        config = await self._namespace(attempt, runs)
        existing = config.pods.cache.get(attempt.task.pod_name)
        if existing is not None:
            return existing
        if attempt.task.seen_running:
            raise _gone(attempt.task)
        if attempt.state.stop is not None:
            raise CreateAbandonedError(attempt.task.pod_name)
        full = self._capacity.reserve(attempt.key, attempt.namespace)
        if full:
            raise NoCapacityError(full)
        return await self._create(attempt, config, runs)

    async def _create(self, attempt: PodAttempt, config: NamespaceConfig, runs: HeldRuns) -> PodView:
        task = attempt.task
        run_claims = await self._claims.of_run(task, attempt.namespace, config.policy)
        pod = make_pod(task, self._settings.pods, config.policy, TaskStore(config.store_config, task), run_claims)
        if task.uses_workspace:
            await self._claims.ensure_workspace(task, attempt.namespace)
        attempt.keys = await self._sessions.issue(attempt, config, lambda: _check_allowed(attempt, runs))
        # When the lease runs out on the way, the Pod is the next holder's, to be adopted or collected: one that is
        # taken back would have to be made again by a holder for whom the attempt is still to come.
        try:
            document, _ = await self._calls.create(attempt.namespace, pod, lambda: _may_create(attempt, runs))
        except QuotaExceededError as error:
            too_much = never_fits(error.message)
            if too_much:
                raise LaunchFailedError(FailureKind.CONFIGURATION, too_much) from error
            raise NoCapacityError(self._capacity.quota_exceeded(attempt.namespace, error.message)) from error
        self._capacity.pod_created(attempt.namespace)
        if attempt.view is not None:
            # The watch was faster than the answer.
            return attempt.view
        view = view_of(document)
        self._capacity.pod_seen(view)
        return view

    async def _namespace(self, attempt: PodAttempt, runs: HeldRuns) -> NamespaceConfig:
        """What holds in the attempt's namespace, however long its API server is away. Raises as `Namespaces.get`."""

        def failed(error: BaseException) -> None:
            log.warning("task %s waits for namespace %s: %s", attempt.key.path, attempt.namespace, error)
            _check_allowed(attempt, runs)

        return await retried(lambda: self._namespaces.get(attempt.namespace), failed=failed)


def _may_create(attempt: PodAttempt, runs: HeldRuns) -> bool:
    """The watch may have seen what a try without an answer has created, even that it has ended."""
    state = attempt.state
    return state.phase is Phase.CREATING and state.stop is None and runs.may_act(attempt.key.run_id)


def _check_allowed(attempt: PodAttempt, runs: HeldRuns) -> None:
    """Raises CreateAbandonedError."""
    if attempt.state.stop is not None or not runs.may_act(attempt.key.run_id):
        raise CreateAbandonedError(attempt.task.pod_name)


def _gone(task: TaskLaunch) -> LaunchFailedError:
    text = f"the Pod {task.pod_name} is gone, and nobody saw how it ended"
    return LaunchFailedError(FailureKind.INFRASTRUCTURE, text)


def _refusal(attempt: PodAttempt, error: KubeError) -> str:
    if isinstance(error, NotFoundError):
        return f"the namespace {attempt.namespace!r} does not exist"
    return f"Kubernetes refuses the task's Pod: {_FORBIDDEN.sub('', str(error))}"
