"""Tasks that create or delete a volume claim, and the workspaces of runs (executor.md §4.3, §1.9). They need no Pod.

Invariants: a claim's name is a function of its attempt or its run, so creating it again finds it. A claim of that name
which somebody else created is an error; it is never used. A claim is deleted that the task's own run made, or that the
namespace's list names; never one of the installation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from penstock_ir.event_log import FailureKind
from penstock_kube.client import KubeClient
from penstock_kube.errors import AlreadyExistsError, KubeError, NotFoundError

from penstock_executor.attempts import AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.base import HeldRuns
from penstock_executor.backends.kubernetes.allowed import check_own, check_use, unlisted_claims
from penstock_executor.backends.kubernetes.claims import (
    LABEL_WORKSPACE,
    check_new_claim,
    claim_to_create,
    claim_to_delete,
    is_claim_task,
    is_of_run,
    is_same_claim,
    workspace_claim,
)
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.kubernetes.view import LABEL_INSTANCE, LABEL_RUN
from penstock_executor.backoff import is_transient, retried
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

log = logging.getLogger(__name__)

_SECONDS = 120.0


class ClaimTasks:
    """`instance` tells the claims of this installation's runs from others', `own` are names of the installation."""

    def __init__(self, client: KubeClient, instance: str, own: OwnNames) -> None:
        self._client = client
        self._instance = instance
        self._own = own
        self._workspaces: dict[str, tuple[str, str]] = {}

    def takes(self, task: TaskLaunch) -> bool:
        return is_claim_task(task)

    async def outcome(self, task: TaskLaunch, namespace: str, policy: NamespacePolicy) -> TaskOutcome:
        """Never raises for what the cluster answers."""
        started = _now()
        failure: PodSpecError | KubeError | None = None
        try:
            name = await self._carry_out(task, namespace, policy)
        except (PodSpecError, KubeError) as error:
            failure = error
        finished = _now()
        outcome = TaskOutcome(task.key, started, finished, times=AttemptTimes(started=started, finished=finished))
        if failure is not None:
            kind = FailureKind.INFRASTRUCTURE if is_transient(failure) else FailureKind.CONFIGURATION
            return replace(outcome, failure=kind, error=str(failure)[:4096])
        return replace(outcome, exit_code=0, parameters={"name": name} if "name" in task.output_parameters else {})

    async def of_run(self, task: TaskLaunch, namespace: str, policy: NamespacePolicy) -> frozenset[str]:
        """The claims that the task mounts, that no list names, and that its own run made. Raises KubeError."""
        found = []
        for name in unlisted_claims(task, policy, self._own):
            with contextlib.suppress(NotFoundError):
                existing = await self._get(namespace, name)
                if is_of_run(existing, self._instance, task.key.run_id):
                    found.append(name)
        return frozenset(found)

    async def ensure_workspace(self, task: TaskLaunch, namespace: str) -> None:
        """Makes the workspace of the task's run, once. Raises PodSpecError, KubeError."""
        known = self._workspaces.get(task.key.run_id)
        if known is None:
            claim = workspace_claim(task, self._instance)
            await self._create(claim, namespace)
            self._workspaces[task.key.run_id] = (namespace, claim["metadata"]["name"])

    async def forget(self, run_id: str) -> None:
        """Removes the workspace of a run that is over. What is not known here is the collector's."""
        known = self._workspaces.pop(run_id, None)
        if known is not None:
            namespace, name = known
            try:
                await self._patiently(lambda: self._client.delete(f"{_path(namespace)}/{name}"))
            except NotFoundError:
                log.debug("the workspace %s is gone already", name)

    async def collect(self, namespaces: Callable[[], Iterable[str]], runs: HeldRuns, every_seconds: float) -> None:
        """Removes workspaces of runs that ended while nobody was there to do it, again and again until cancelled."""
        # No retry of a failed call: it looks at its interval whether the last look failed or not.
        while True:
            await asyncio.sleep(every_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - a delay
            try:
                for namespace in list(namespaces()):
                    await self._collect(namespace, runs)
            except (KubeError, ServerUnavailableError, ServerRejectedError) as error:
                log.warning("workspaces are looked for again later: %s", error)

    async def _collect(self, namespace: str, runs: HeldRuns) -> None:
        selector = f"{LABEL_INSTANCE}={self._instance},{LABEL_WORKSPACE}=true"
        listed = await self._client.list_all(_path(namespace), selector)
        run_of = {one["metadata"]["name"]: one["metadata"]["labels"].get(LABEL_RUN, "") for one in listed.items}
        over = await runs.over(sorted(set(run_of.values()))) if run_of else set()
        for name, run_id in run_of.items():
            if run_id in over:
                log.info("the workspace %s/%s is of a run that is over", namespace, name)
                with contextlib.suppress(NotFoundError):
                    await self._client.delete(f"{_path(namespace)}/{name}")

    async def _carry_out(self, task: TaskLaunch, namespace: str, policy: NamespacePolicy) -> str:
        name = claim_to_delete(task)
        if name is None:
            check_new_claim(task, policy, self._own)
            claim = claim_to_create(task, self._instance)
            await self._create(claim, namespace)
            return str(claim["metadata"]["name"])
        try:
            await self._delete(task, namespace, name, policy)
        except NotFoundError as error:
            raise PodSpecError(f"there is no claim {name!r} in namespace {namespace!r} to be deleted") from error
        return name

    async def _delete(self, task: TaskLaunch, namespace: str, name: str, policy: NamespacePolicy) -> None:
        """Raises PodSpecError for a claim that the task may not delete, KubeError."""
        check_own(self._own, "claims", name, "pvc_name of the claim to delete")
        existing = await self._get(namespace, name)
        if not is_of_run(existing, self._instance, task.key.run_id):
            check_use(policy, self._own, "deletableClaims", name, "pvc_name of the claim to delete")
        # The claim that was looked at: another one of its name may have come meanwhile.
        uid = existing["metadata"]["uid"]
        await self._patiently(lambda: self._client.delete(f"{_path(namespace)}/{name}", uid=uid))

    async def _get(self, namespace: str, name: str) -> Mapping[str, Any]:
        return await self._patiently(lambda: self._client.get(f"{_path(namespace)}/{name}"))

    async def _create(self, claim: Mapping[str, Any], namespace: str) -> None:
        name = claim["metadata"]["name"]
        try:
            await self._patiently(lambda: self._client.create(_path(namespace), claim))
        except AlreadyExistsError as error:
            existing = await self._get(namespace, name)
            if not is_same_claim(claim, existing):
                raise PodSpecError(
                    f"the claim {name!r} exists in namespace {namespace!r} and was not made by this task"
                ) from error

    async def _patiently(self, call: Any) -> Any:
        """Repeats what is safe to repeat until it is answered, for a bounded time. Raises KubeError."""
        return await retried(call, seconds=_SECONDS)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"


def _now() -> int:
    return time.time_ns() // 1_000_000
