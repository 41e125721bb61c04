"""The stores' settings of namespaces, as the cluster has them: the ConfigMap `kfp-launcher` and the Secrets it names.

Invariants: an answer is kept for half a minute, so that a changed ConfigMap and a rotated Secret hold by then, and what
is wrong for some seconds; of a key one reader asks at a time, and what is wrong in one namespace is waited for by its
own readers alone. While the cluster does not answer, what was read last holds for some minutes. Names of Secrets were
checked by the parser. Errors are ArtifactStoreErrors that name the ConfigMap, the Secret or the key at fault, and never
show what a Secret holds.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from cachetools import LRUCache
from penstock_kube.errors import ForbiddenError, KubeError
from penstock_store.base import ArtifactStoreError
from penstock_store.config import BucketSettings, StoreConfig
from penstock_store.providers import parse_launcher

log = logging.getLogger(__name__)

LAUNCHER_CONFIG = "kfp-launcher"
FRESH_SECONDS = 25.0
"""With a call's deadline not more than half a minute."""
STALE_SECONDS = 300.0
_AWAY_SECONDS = 5.0
# A ConfigMap as large as may be costs most of a second, whether it is right or wrong.
_FAULT_SECONDS = 15.0
_KEPT = 2000
_MAX_VALUE = 64 * 1024
_T = TypeVar("_T")


class Cluster(Protocol):
    """Gets objects of the core API."""

    def get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
        """None when there is none. Raises KubeError."""
        ...


@dataclass(slots=True)
class _Entry(Generic[_T]):
    """`until`: when `value` or `error` is read anew; `read_at`: when the value was read."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: _T | None = None
    error: ArtifactStoreError | None = None
    read_at: float = float("-inf")
    until: float = float("-inf")


class _Kept(Generic[_T]):
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: LRUCache[tuple[str, str], _Entry[_T]] = LRUCache(_KEPT)

    def get(self, key: tuple[str, str], read: Callable[[], _T]) -> _T:
        """What `read` gave lately, or the ArtifactStoreError that it raised."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if self._clock() >= entry.until:
                self._read(entry, read)
            if entry.error is not None:
                # A new one: what is raised collects where it went, and this one is for many threads.
                raise ArtifactStoreError(str(entry.error), transient=entry.error.transient)
            assert entry.value is not None
            return entry.value

    def _read(self, entry: _Entry[_T], read: Callable[[], _T]) -> None:
        try:
            entry.value, entry.error = read(), None
            entry.read_at = self._clock()
            entry.until = entry.read_at + FRESH_SECONDS
        except ArtifactStoreError as error:
            now = self._clock()
            entry.until = now + (_AWAY_SECONDS if error.transient else _FAULT_SECONDS)
            if error.transient and entry.value is not None and now - entry.read_at < STALE_SECONDS:
                log.warning("%s: what was read last holds", error)
                return
            entry.value, entry.error = None, error


class NamespaceSettings:
    """Thread-safe. `clock` counts seconds."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._configs: _Kept[StoreConfig] = _Kept(clock)
        self._secrets: _Kept[Mapping[str, str]] = _Kept(clock)

    def config(self, namespace: str) -> StoreConfig:
        """What the namespace's `kfp-launcher` says; empty when it has none. Raises ArtifactStoreError."""
        return self._configs.get((namespace, LAUNCHER_CONFIG), partial(self._read_config, namespace))

    def credentials(self, namespace: str, settings: BucketSettings) -> Mapping[str, str]:
        """The values for the variables of these settings. Raises ArtifactStoreError."""
        values: dict[str, str] = {}
        for variable in settings.credentials:
            read = partial(self._read_secret, namespace, variable.secret)
            data = self._secrets.get((namespace, variable.secret), read)
            if variable.key not in data:
                raise ArtifactStoreError(f"Secret {variable.secret} of namespace {namespace}: no key {variable.key!r}")
            value = _decoded(data[variable.key])
            if value is None:
                raise ArtifactStoreError(
                    f"Secret {variable.secret} of namespace {namespace}: key {variable.key!r} is no text of at most "
                    f"{_MAX_VALUE} characters"
                )
            values[variable.name] = value
        return values

    def _read_config(self, namespace: str) -> StoreConfig:
        data = self._data(namespace, "configmaps", LAUNCHER_CONFIG) or {}
        try:
            return parse_launcher(data)
        except ArtifactStoreError as error:
            raise ArtifactStoreError(f"ConfigMap {LAUNCHER_CONFIG} of namespace {namespace}: {error}") from error

    def _read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        data = self._data(namespace, "secrets", name)
        if data is None:
            raise ArtifactStoreError(
                f"Secret {name} of namespace {namespace}, which its ConfigMap {LAUNCHER_CONFIG} names, does not exist"
            )
        return data

    def _data(self, namespace: str, plural: str, name: str) -> Mapping[str, str] | None:
        what = f"{'ConfigMap' if plural == 'configmaps' else 'Secret'} {name} of namespace {namespace}"
        try:
            found = self._cluster.get(namespace, plural, name)
        except ForbiddenError as error:
            log.warning("%s: %s", what, error)
            raise ArtifactStoreError(
                f"{what}: the server may not read it; the operator gives it the right in that namespace "
                "(deploy/kustomize/components/namespace-stores)"
            ) from error
        except KubeError as error:
            log.warning("%s: %s", what, error)
            raise ArtifactStoreError(
                f"{what}: the cluster does not give it{'; try again later' if error.transient else ''}",
                transient=error.transient,
            ) from error
        return None if found is None else found.get("data") or {}


def _decoded(text: str) -> str | None:
    if len(text) > 2 * _MAX_VALUE:
        return None
    try:
        value = base64.b64decode(text).decode()
    except ValueError:
        return None
    return value if len(value) <= _MAX_VALUE else None
