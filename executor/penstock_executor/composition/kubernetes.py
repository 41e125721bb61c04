"""Makes the Kubernetes backend: tasks are Pods of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click
from penstock_ir.backend_limits import KUBERNETES
from penstock_kube.client import KubeClient
from penstock_kube.config import load_cluster
from penstock_kube.errors import KubeConfigError
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore

from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.build import Dependencies
from penstock_executor.backends.kubernetes.build import kubernetes_backend as build_backend
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.retention import RetentionPolicy
from penstock_executor.backends.kubernetes.settings import ArtifactsClaim, CertificateBundle, PodSettings
from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map
from penstock_executor.composition.configured import ConfiguredBackend
from penstock_executor.name_patterns import parse_patterns
from penstock_executor.pod_paths import WORKSPACE
from penstock_executor.settings import Settings

_PROXY = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def kubernetes_backend(
    settings: Settings,
    parallelism: int,
    stores: StoreConfig,
    environ: Mapping[str, str],
    observe: Callable[[str, str, float], None],
) -> ConfiguredBackend:
    """With `parallelism` Pods at a time; `observe` as KubeClient's. Raises click.UsageError for what is missing."""
    root = stores.default_root
    files = FileArtifactStore(Path(root.removeprefix("file://"))) if root.startswith("file://") else None
    if not settings.agent_image:
        raise click.UsageError("--agent-image: the image of this program is needed, agents of tasks run it")
    if settings.artifacts_claim and files is None:
        raise click.UsageError(f"--artifacts-claim: it is for a file:// root, and --artifacts is {root}")
    try:
        cluster = load_cluster(kubeconfig=settings.kubeconfig, context=settings.kube_context)
        retention = RetentionPolicy.parse(settings.pod_retention)
    except KubeConfigError as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"--pod-retention: {error}") from error
    pods = _pod_settings(settings, settings.namespace or cluster.namespace, root, environ, _own_names(settings, stores))
    backend_settings = BackendSettings(
        pods=pods,
        retention=retention,
        bounds=Bounds(parallelism, settings.namespace_parallelism),
        deadlines=Deadlines(settings.pending_deadline, settings.image_pull_deadline),
        wait_for_sidecars=settings.wait_for_sidecars,
        cancel_grace_seconds=settings.cancel_grace,
        orphan_seconds=settings.orphan_interval,
    )
    client = KubeClient(cluster, observe=observe)
    dependencies = Dependencies(client, stores, environ, files)
    backend = build_backend(dependencies, backend_settings, settings.writes_per_second)
    return ConfiguredBackend(KUBERNETES, backend, root, WORKSPACE, parallelism)


def _own_names(settings: Settings, stores: StoreConfig) -> OwnNames:
    credentials = {variable.secret for bucket in stores.buckets for variable in bucket.credentials}
    return OwnNames(
        service_accounts=parse_patterns(settings.own_service_accounts),
        secrets=(*parse_patterns(settings.own_secrets), *sorted(credentials)),
        config_maps=parse_patterns(settings.own_config_maps),
        claims=parse_patterns(settings.own_claims),
    )


def _pod_settings(
    settings: Settings, namespace: str, root: str, environ: Mapping[str, str], own: OwnNames
) -> PodSettings:
    claim = settings.artifacts_claim
    return PodSettings(
        agent_image=settings.agent_image,
        instance=settings.instance,
        wrapper_config_map=wrapper_config_map()["metadata"]["name"],
        agent_image_pull_policy=settings.agent_pull_policy,
        default_namespace=namespace,
        run_as_user=settings.run_as_user,
        architecture=settings.architecture,
        artifacts_claim=ArtifactsClaim(claim, root.removeprefix("file://")) if claim else None,
        certificates=CertificateBundle(settings.ca_config_map) if settings.ca_config_map else None,
        proxy=tuple((name, environ[name]) for name in _PROXY if environ.get(name)),
        agent_env_from_secret=settings.agent_secret,
        own=own,
    )
