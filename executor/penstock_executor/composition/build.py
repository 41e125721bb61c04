"""Chooses the backend that the settings name, and makes it.

Invariant: a backend's module is imported when it is chosen, so that nobody pays for the libraries of the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import click
from penstock_store.base import ArtifactStoreError
from penstock_store.config import DEFAULT_ROOT, StoreConfig
from penstock_store.providers import parse_file

from penstock_executor.composition.configured import ConfiguredBackend
from penstock_executor.dispatch.convert import pipeline_root
from penstock_executor.settings import Settings

_PODS = 1000
"""At a time, unless said otherwise: enough for a cluster that grows by what is pending, and no flood."""


def build_backend(
    settings: Settings, environ: Mapping[str, str], observe: Callable[[str, str, float], None]
) -> ConfiguredBackend:
    """`environ` has the credentials of object stores; `observe` is told of calls to a cluster: verb, code, seconds.

    Raises click.UsageError for settings that cannot be used.
    """
    try:
        path = settings.store_config
        stores = with_root(settings, parse_file(path.read_text("utf-8")) if path is not None else StoreConfig())
        return _chosen(settings, stores, environ, observe)
    except (ArtifactStoreError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--store-config or --artifacts") from error


def with_root(settings: Settings, stores: StoreConfig) -> StoreConfig:
    """With the root of runs that name none, and its own settings: `--artifacts`, else that of the file, else the
    backend's. Raises ArtifactStoreError.
    """
    otherwise = DEFAULT_ROOT if settings.backend == "kubernetes" else str(settings.directory() / "artifacts")
    return stores.with_default_root(pipeline_root(settings.artifacts or stores.default_root or otherwise))


def _chosen(
    settings: Settings, stores: StoreConfig, environ: Mapping[str, str], observe: Callable[[str, str, float], None]
) -> ConfiguredBackend:
    if settings.backend == "kubernetes":
        from penstock_executor.composition.kubernetes import kubernetes_backend

        return kubernetes_backend(settings, settings.parallelism or _PODS, stores, environ, observe)
    processes = settings.parallelism or max(2, os.cpu_count() or 1)
    if settings.backend == "container":
        from penstock_executor.composition.container import container_backend

        return container_backend(settings, processes, stores, environ)
    from penstock_executor.composition.local import local_backend

    return local_backend(settings, processes, stores, environ)
