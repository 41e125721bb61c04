"""The temporary credentials of attempts: asked for before a Pod is made, kept in a Secret of its own, renewed in time.

Why a Secret that the agent mounts: what a Pod says itself everybody reads who may look at Pods, an environment cannot
be renewed, and what the agent could fetch with a token of its own needs one more door. Why after the Pod: the Secret
belongs to it (owner reference), so it goes with it, whoever is there then. Until it is there no container of the Pod
begins, as the kubelet mounts all volumes first.

Invariants: a Secret's name is a function of its attempt, so that making it again finds it. Keys are issued before the
Pod is made: a service that gives none leaves no Pod behind. An attempt that is adopted gets new ones, since nobody has
to read the old. They are renewed when half of their time is over.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from penstock_ir.event_log import FailureKind
from penstock_kube.client import KubeClient
from penstock_kube.errors import AlreadyExistsError, KubeError, NotFoundError
from penstock_store.base import ArtifactStoreError
from penstock_store.session_keys import SessionKeys

from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig
from penstock_executor.backends.kubernetes.pod_attempt import PodAttempt
from penstock_executor.backends.kubernetes.rights import may
from penstock_executor.backends.kubernetes.task_store import SessionRequest, TaskStore, session_secret
from penstock_executor.backends.kubernetes.verdict import Failure
from penstock_executor.backends.kubernetes.view import LABEL_INSTANCE, PodView
from penstock_executor.backoff import retried
from penstock_executor.engine.names import attempt_id

if TYPE_CHECKING:
    from penstock_store.assume_role import RoleAssumer

log = logging.getLogger(__name__)

_ISSUE_SECONDS = 60.0
"""For how long a service that fails for now is asked again before a Pod is made."""
_CALL_SECONDS = 40.0
_AT_ONCE = 8
_AGAIN_SECONDS = 15.0
_VERBS = ("create", "patch")


class Sessions:
    """`instance` labels the Secrets. `config_of(namespace)` gives what holds there now."""

    def __init__(
        self, client: KubeClient, instance: str, config_of: Callable[[str], Awaitable[NamespaceConfig]]
    ) -> None:
        self._client = client
        self._instance = instance
        self._config_of = config_of
        self._threads = ThreadPoolExecutor(_AT_ONCE, "temporary-credentials")
        self._assumer: RoleAssumer | None = None
        self._lock = threading.Lock()
        self._permitted: set[str] = set()

    async def issue(
        self, attempt: PodAttempt, config: NamespaceConfig, check: Callable[[], object] = lambda: None
    ) -> Mapping[str, SessionKeys]:
        """The keys that the attempt's agent needs, by the names of their files; none when the settings name no role.

        `check` is called before each further try, and may raise. Raises ArtifactStoreError, KubeError, TaskSpecError.
        """
        requests = TaskStore(config.store_config, attempt.task).sessions()
        if not requests:
            return {}
        await self._check_rights(attempt.namespace, requests[0])

        def failed(error: BaseException) -> None:
            log.warning("task %s waits for its credentials: %s", attempt.key.path, error)
            check()

        return await retried(lambda: self._assumed(attempt, config, requests), seconds=_ISSUE_SECONDS, failed=failed)

    async def keep(self, attempt: PodAttempt, view: PodView, give_up: Callable[[Failure], None]) -> None:
        """Stores the attempt's keys in the Secret of its Pod, and new ones in time, until cancelled.

        `give_up` is called when those of a Pod that was made just now cannot be stored: it can never begin.
        """
        keys, attempt.keys = attempt.keys, None
        made = bool(keys)
        while True:
            try:
                keys = keys or await self.issue(attempt, await self._config_of(attempt.namespace))
                if not keys:
                    return
                await self._store(attempt, view, keys)
            except NotFoundError:
                log.info("Pod %s is gone, and its credentials with it", view.name)
                return
            except (KubeError, ArtifactStoreError, ValueError) as error:
                if made:
                    text = f"the attempt's credentials cannot be stored for its agent: {error}"
                    give_up(Failure(FailureKind.CONFIGURATION, text))
                    return
                # It may still have others, and what is wrong may be put right before they have expired.
                log.warning("task %s: its credentials cannot be renewed yet: %s", attempt.key.path, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                made = False
                await asyncio.sleep(_until_renewal(keys))
            keys = {}

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _assumed(
        self, attempt: PodAttempt, config: NamespaceConfig, requests: Sequence[SessionRequest]
    ) -> Mapping[str, SessionKeys]:
        name = f"penstock-{attempt_id(attempt.key.run_id, attempt.key.path, attempt.key.attempt)}"

        def assume(request: SessionRequest) -> SessionKeys:
            environ = config.credentials.of(request.settings)
            return self._role_assumer().assume(request.settings, environ, request.policies, name)

        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(self._threads, assume, request) for request in requests]
        try:
            found = await asyncio.wait_for(asyncio.gather(*calls), _CALL_SECONDS)
        except asyncio.TimeoutError:
            role = requests[0].settings.assume_role
            text = f"{role.setting if role else ''}: no temporary credentials came within {_CALL_SECONDS:g} seconds"
            raise ArtifactStoreError(text, transient=True) from None
        return {request.file: keys for request, keys in zip(requests, found, strict=True)}

    def _role_assumer(self) -> RoleAssumer:
        with self._lock:
            if self._assumer is None:
                # Imported by who needs it: it takes half a second and 20 MiB.
                from penstock_store.assume_role import RoleAssumer

                self._assumer = RoleAssumer()
            return self._assumer

    async def _store(self, attempt: PodAttempt, view: PodView, keys: Mapping[str, SessionKeys]) -> None:
        """Raises KubeError; NotFoundError when the Secret was there and is no more, or the namespace is not there."""
        name = session_secret(attempt.task)
        path = f"/api/v1/namespaces/{attempt.namespace}/secrets"
        data = {file: base64.b64encode(one.to_json().encode()).decode() for file, one in keys.items()}
        owner = {"apiVersion": "v1", "kind": "Pod", "name": view.name, "uid": view.uid}
        secret = {
            "metadata": {"name": name, "labels": {LABEL_INSTANCE: self._instance}, "ownerReferences": [owner]},
            "type": "Opaque",
            "data": data,
        }

        async def once() -> Mapping[str, Any]:
            try:
                return await self._client.create(path, secret)
            except AlreadyExistsError:
                return await self._client.patch_merge(f"{path}/{name}", {"data": data})

        def failed(error: BaseException) -> None:
            log.warning("Secret %s/%s cannot be written yet: %s", attempt.namespace, name, error)

        await retried(once, failed=failed)

    async def _check_rights(self, namespace: str, request: SessionRequest) -> None:
        """Before anything is made for an attempt. Raises ArtifactStoreError that names what is missing, KubeError."""
        if namespace in self._permitted:
            return
        try:
            missing = [verb for verb in _VERBS if not await may(self._client, namespace, verb, "secrets")]
        except NotFoundError:
            missing = []
        if missing:
            role = request.settings.assume_role
            raise ArtifactStoreError(
                f"{role.setting if role else ''}: the executor's Role lacks in namespace {namespace!r}: "
                f"{', '.join(f'{verb} secrets' for verb in missing)} (deploy/kustomize/tasks/session-secrets.yaml)"
            )
        self._permitted.add(namespace)


def _until_renewal(keys: Mapping[str, SessionKeys]) -> float:
    """Seconds, at least one: half of what is left. A mounted Secret follows within two minutes."""
    return max(1.0, (min(one.expires_at for one in keys.values()) - time.time()) / 2)
