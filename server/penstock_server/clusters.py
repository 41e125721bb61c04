"""The cluster that the settings name: tokens are reviewed by it, callers' rights, and Pods are looked at in it.

Invariant: a cluster that was named and cannot be used is an error, also where having none would do.
"""

from __future__ import annotations

import click
from penstock_kube.config import Cluster, load_cluster
from penstock_kube.errors import KubeConfigError

from penstock_server.settings import Settings


def needed_cluster(settings: Settings, option: str) -> Cluster:
    """For `option`, which cannot do without. Raises click.UsageError."""
    try:
        return _load(settings)
    except KubeConfigError as error:
        raise click.UsageError(f"{option}: {error}") from error


def known_cluster(settings: Settings) -> Cluster | None:
    """None where there is none: no kubeconfig and no Pod's own account. Raises click.UsageError."""
    try:
        return _load(settings)
    except KubeConfigError as error:
        if settings.kubeconfig or settings.kube_context:
            raise click.UsageError(f"--kubeconfig: {error}") from error
        return None


def _load(settings: Settings) -> Cluster:
    return load_cluster(kubeconfig=settings.kubeconfig, context=settings.kube_context)
