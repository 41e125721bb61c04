"""Builds the backend from an installation's settings; the one module that knows all its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_kube.client import KubeClient
from penstock_store.base import ArtifactStore
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.router import RoutedStore

from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.calls import PodCalls
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.namespaces import Namespaces
from penstock_executor.backends.kubernetes.sessions import Sessions
from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map


@dataclass(frozen=True, slots=True)
class Dependencies:
    """`environ` holds the credentials that the executor itself reaches stores with."""

    client: KubeClient
    store: StoreConfig
    environ: Mapping[str, str]
    files: FileArtifactStore | None = None
    """For a `file://` root, which this program mounts as agents do."""

    def store_of(self, config: StoreConfig, variables: Mapping[str, str]) -> ArtifactStore:
        return RoutedStore(config, {**self.environ, **variables}, files=self.files)


def kubernetes_backend(dependencies: Dependencies, settings: BackendSettings, per_second: float) -> KubernetesBackend:
    """`per_second` bounds Pod creates and deletes, each."""
    client = dependencies.client
    calls = PodCalls(client, per_second)
    return KubernetesBackend(
        client,
        lambda listener: Namespaces(
            client,
            settings.pods.instance,
            wrapper_config_map(),
            dependencies.store,
            dependencies.store_of,
            settings.pods.default_namespace,
            dependencies.environ,
            listener,
        ),
        calls,
        lambda config_of: Sessions(client, settings.pods.instance, config_of),
        ClaimTasks(client, settings.pods.instance, settings.pods.own_names),
        settings,
    )
