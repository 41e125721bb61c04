"""The configuration of each namespace that has tasks (policy, store, wrapper), and the watch on its Pods.

Invariants: a namespace is watched from its first task on, and tasks wait for the first list, so that existing Pods are
adopted without a call. ConfigMaps are read again when they are older than half a minute, so that a change holds for the
next tasks. One that cannot be read for now leaves the last one valid; a broken one fails the namespace's tasks, with a
text that says what is wrong.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.errors import AlreadyExistsError, KubeError, NotFoundError
from penstock_kube.reflector import EventKind
from penstock_kube.skim import Skimmed
from penstock_kube.skimming import SkimmingReflector
from penstock_store.base import ArtifactStore
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_launcher

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.calls import pods_path
from penstock_executor.backends.kubernetes.namespace_store import NamespaceStore, PlaceCredentials, without_roles
from penstock_executor.backends.kubernetes.pod_warnings import PodWarning, PodWarnings
from penstock_executor.backends.kubernetes.policy import parse_policy
from penstock_executor.backends.kubernetes.rights import check_rights
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.kubernetes.view import LABEL_INSTANCE, PodGlance, PodView, glance_of, view_of
from penstock_executor.backends.kubernetes.workloads import GATE, Workloads

log = logging.getLogger(__name__)

_FRESH_SECONDS = 30.0
LAUNCHER_CONFIG = "kfp-launcher"
NAMESPACE_CONFIG = "penstock"


PodReflector = SkimmingReflector[PodView, PodGlance]


@dataclass(frozen=True, slots=True)
class PodListener:
    """Who hears of Pods. `follows(key)`: whether somebody here works with that attempt; of its Pod, and of workers,
    `on_pod` hears, of all others `on_glance`. `on_news(namespace, pod, uid)` is called when warnings or a queue say
    something new of a Pod.
    """

    on_pod: Callable[[EventKind, PodView], None]
    on_glance: Callable[[EventKind, PodGlance], None]
    on_news: Callable[[str, str, str], None]
    follows: Callable[[AttemptKey], bool]


@dataclass(frozen=True, slots=True)
class NamespaceConfig:
    """What holds for the tasks of a namespace now."""

    namespace: str
    pods: PodReflector
    warnings: PodWarnings
    policy: NamespacePolicy
    store_config: StoreConfig
    store: ArtifactStore
    credentials: PlaceCredentials


@dataclass(slots=True)
class _Known:
    pods: PodReflector
    warnings: PodWarnings
    workloads: Workloads
    watching: list[asyncio.Task[None]]
    lock: asyncio.Lock
    config: NamespaceConfig | None = None
    read_at: float = 0.0
    queues_are_watched: bool = False
    versions: tuple[Any, ...] = ()


class Namespaces:
    """`wrapper` is the ConfigMap that every namespace needs, `stores` the deployment's settings. `deployment(config,
    variables)` builds a store that has the deployment's environment and these variables; only `trusted`, the namespace
    of the deployment's own tasks, may bring settings into one. `environ` is that environment itself.
    """

    def __init__(
        self,
        client: KubeClient,
        instance: str,
        wrapper: Mapping[str, Any],
        stores: StoreConfig,
        deployment: Callable[[StoreConfig, Mapping[str, str]], ArtifactStore],
        trusted: str,
        environ: Mapping[str, str],
        listener: PodListener,
    ) -> None:
        self._client = client
        self._instance = instance
        self._wrapper = wrapper
        self._stores = stores
        self._deployment = deployment
        self._trusted = trusted
        self._environ = environ
        self._listener = listener
        self._known: dict[str, _Known] = {}

    async def get(self, namespace: str) -> NamespaceConfig:
        """Raises KubeError, ValueError for a configuration that is broken."""
        if namespace not in self._known:
            await check_rights(self._client, namespace)
        known = self._known.get(namespace) or self._watch(namespace)
        await known.pods.synced()
        async with known.lock:
            if known.config is None or time.monotonic() - known.read_at > _FRESH_SECONDS:
                await self._read(namespace, known)
        assert known.config is not None
        return known.config

    def store(self, namespace: str) -> ArtifactStore:
        """The store of a namespace that tasks have run in."""
        known = self._known.get(namespace)
        if known is None or known.config is None:
            return self._deployment(self._stores, {})
        return known.config.store

    def warnings(self, view: PodView) -> tuple[PodWarning, ...]:
        """The warnings about a Pod."""
        known = self._known.get(view.namespace)
        return known.warnings.of(view.uid) if known is not None else ()

    def queued(self, view: PodView) -> str:
        """What Kueue says of a Pod that it holds back; empty when it does not, or that is not known yet."""
        known = self._known.get(view.namespace)
        if known is None or GATE not in view.gates:
            return ""
        if not known.queues_are_watched:
            known.queues_are_watched = True
            known.watching.append(asyncio.create_task(known.workloads.work()))
        return known.workloads.of(view.uid)

    def watched(self) -> Mapping[str, PodReflector]:
        return {namespace: known.pods for namespace, known in self._known.items()}

    def _glance(self, skimmed: Skimmed) -> PodGlance | None:
        glance = glance_of(skimmed.metadata, skimmed.status)
        followed = glance is not None and glance.key is not None and self._listener.follows(glance.key)
        return None if followed else glance

    def close(self) -> None:
        for known in self._known.values():
            for task in known.watching:
                task.cancel()

    def _watch(self, namespace: str) -> _Known:
        selector = f"{LABEL_INSTANCE}={self._instance}"
        pods = PodReflector(
            self._client,
            pods_path(namespace),
            label_selector=selector,
            trim=view_of,
            on_event=self._listener.on_pod,
            skim=self._glance,
            on_skimmed=self._listener.on_glance,
        )
        warnings = PodWarnings(self._client, namespace, lambda one: self._listener.on_news(namespace, one.pod, one.uid))
        workloads = Workloads(self._client, namespace, lambda pod, uid: self._listener.on_news(namespace, pod, uid))
        watching = [asyncio.create_task(pods.run()), asyncio.create_task(warnings.work())]
        known = _Known(pods, warnings, workloads, watching, asyncio.Lock())
        self._known[namespace] = known
        return known

    async def _read(self, namespace: str, known: _Known) -> None:
        try:
            launcher = await self._config_map(namespace, LAUNCHER_CONFIG)
            ours = await self._config_map(namespace, NAMESPACE_CONFIG)
        except KubeError:
            if known.config is None:
                raise
            log.warning("namespace %s: its configuration cannot be read, the last one holds", namespace)
            known.read_at = time.monotonic()
            return
        versions = tuple(one.get("metadata", {}).get("resourceVersion") if one else None for one in (launcher, ours))
        if known.config is None or versions != known.versions:
            known.config = await self._config(namespace, known, launcher, ours)
            known.versions = versions
        known.read_at = time.monotonic()

    async def _config(
        self,
        namespace: str,
        known: _Known,
        launcher: Mapping[str, Any] | None,
        ours: Mapping[str, Any] | None,
    ) -> NamespaceConfig:
        own = parse_launcher((launcher or {}).get("data") or {})
        trusted = namespace == self._trusted
        stores = self._stores if trusted else without_roles(self._stores)
        config = replace(
            stores, default_root=own.default_root or stores.default_root, buckets=(*own.buckets, *stores.buckets)
        )
        policy = parse_policy((ours or {}).get("data"), config.default_root)
        await self._ensure_wrapper(namespace)
        variables = await self._secrets(namespace, own)
        store: ArtifactStore
        if trusted:
            store = self._deployment(config, variables)
        else:
            store = NamespaceStore(own, variables, self._deployment(self._stores, {}))
        credentials = PlaceCredentials(variables, self._environ if trusted else None)
        return NamespaceConfig(namespace, known.pods, known.warnings, policy, config, store, credentials)

    async def _secrets(self, namespace: str, config: StoreConfig) -> dict[str, str]:
        """The variables with which the executor itself reaches the namespace's store, like its agents."""
        variables: dict[str, str] = {}
        for variable in (one for settings in config.buckets for one in settings.credentials):
            try:
                secret = await self._client.get(f"/api/v1/namespaces/{namespace}/secrets/{variable.secret}")
                variables[variable.name] = base64.b64decode(secret["data"][variable.key]).decode()
            except (KubeError, KeyError, ValueError) as error:
                # Tasks run all the same, since the kubelet gives the Secret to their agents. The executor itself needs
                # it for logs and large results.
                log.warning("namespace %s: Secret %s cannot be read: %s", namespace, variable.secret, error)
        return variables

    async def _config_map(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        try:
            return await self._client.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        except NotFoundError:
            return None

    async def _ensure_wrapper(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        name = self._wrapper["metadata"]["name"]
        if await self._config_map(namespace, name) is None:
            try:
                await self._client.create(path, self._wrapper)
            except AlreadyExistsError:
                log.debug("namespace %s: another executor made %s", namespace, name)
