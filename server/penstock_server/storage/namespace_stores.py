"""The server's reads of a namespace's artifacts and logs, with the settings and the keys of that namespace.

Invariants: whose settings are used is the namespace that the caller of `of` found in the database, for an object that
lies in the place of one of its runs; nothing of a request gets here but the URI. A namespace's keys are sent where its
own settings say, within what the operator permits (`store_endpoints`), and the server's own credentials go nowhere that
a namespace names: settings without keys, and providers that the namespace does not name, are the server's own store,
with its roots.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cachetools import LRUCache
from penstock_store.base import ArtifactStoreError, Limits, ObjectInfo, ObjectReader, OutsideRootsError
from penstock_store.config import PROVIDERS, BucketSettings, StoreConfig
from penstock_store.router import RoutedStore
from penstock_store.uris import parse, scheme_of

from penstock_server.storage.namespace_settings import LAUNCHER_CONFIG, NamespaceSettings
from penstock_server.storage.objects import LIMITS, StoredObjects
from penstock_server.storage.store_endpoints import StoreEndpoints

_CLIENTS = 128
_Key = tuple[str, BucketSettings, str, str, tuple[tuple[str, str], ...]]


class NamespaceStores:
    """Thread-safe. `own` is the server's own store."""

    def __init__(
        self, own: ObjectReader, settings: NamespaceSettings, endpoints: StoreEndpoints, limits: Limits = LIMITS
    ) -> None:
        self._own = own
        self._settings = settings
        self._endpoints = endpoints
        self._limits = limits
        self._lock = threading.Lock()
        self._clients: LRUCache[_Key, RoutedStore] = LRUCache(_CLIENTS)

    def of(self, namespace: str) -> StoredObjects:
        """The store of a namespace; of what belongs to none, the server's own."""
        return StoredObjects(_NamespaceReader(self, namespace) if namespace else self._own)

    def store(self, namespace: str, uri: str) -> tuple[ObjectReader, bool]:
        """The store of a URI, and whether it is the server's own because the namespace's settings have no keys.

        Raises ArtifactStoreError.
        """
        provider = PROVIDERS.get(scheme_of(uri))
        if provider is None:
            return self._own, False
        config = self._settings.config(namespace)
        if all(settings.provider != provider for settings in config.buckets):
            return self._own, False
        settings = config.settings_for(uri)
        if not settings.credentials:
            return self._own, True
        try:
            permitted = self._endpoints.permitted(settings)
        except ArtifactStoreError as error:
            raise ArtifactStoreError(f"ConfigMap {LAUNCHER_CONFIG} of namespace {namespace}: {error}") from error
        return self._client(namespace, permitted, uri), False

    def _client(self, namespace: str, settings: BucketSettings, uri: str) -> RoutedStore:
        values = self._settings.credentials(namespace, settings)
        location = parse(uri)
        key = (namespace, settings, location.scheme, location.bucket, tuple(sorted(values.items())))
        with self._lock:
            found = self._clients.get(key)
            if found is None:
                # A store of these settings alone: another bucket of a run has another one.
                config = StoreConfig(buckets=(replace(settings, bucket=location.bucket, prefix=""),))
                found = self._clients[key] = RoutedStore(config, values, limits=self._limits)
            return found


class _NamespaceReader:
    """An ObjectReader of one namespace."""

    def __init__(self, stores: NamespaceStores, namespace: str) -> None:
        self._stores = stores
        self._namespace = namespace

    def info(self, uri: str) -> ObjectInfo | None:
        with self._store(uri) as store:
            return store.info(uri)

    def read(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._store(uri) as store:
            return store.read(uri, offset=offset, length=length)

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        with self._store(uri) as store:
            return store.list(uri)

    @contextmanager
    def _store(self, uri: str) -> Iterator[ObjectReader]:
        store, without_keys = self._stores.store(self._namespace, uri)
        try:
            yield store
        except OutsideRootsError as error:
            if not without_keys:
                raise
            raise OutsideRootsError(
                f"{error}; the ConfigMap {LAUNCHER_CONFIG} of namespace {self._namespace} takes the credentials from "
                "the environment, which agents have and the server has not: name a Secret there"
            ) from error
