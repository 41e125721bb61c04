"""Makes the container backend: tasks are containers of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
from penstock_ir.backend_limits import CONTAINER
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.router import RoutedStore

from penstock_executor.agent.stores import open_store
from penstock_executor.backends.container.backend import ContainerBackend
from penstock_executor.backends.container.probe import NoRuntimeError, find
from penstock_executor.backends.container.settings import ContainerSettings
from penstock_executor.composition.configured import ConfiguredBackend
from penstock_executor.pod_paths import WORKSPACE
from penstock_executor.settings import Settings

_NOWHERE = Path("/dev/null")


def container_backend(
    settings: Settings, parallelism: int, stores: StoreConfig, environ: Mapping[str, str]
) -> ConfiguredBackend:
    """Raises click.UsageError when no container can be run here."""
    directory = settings.directory()
    root = stores.default_root
    try:
        found = find(settings.container_runtime, settings.container_options)
    except NoRuntimeError as error:
        raise click.UsageError(f"--backend container: {error} (`penstock doctor` says more)") from error
    home = directory / "containers"
    containers = ContainerSettings(
        home=home,
        # Executors that share the directory share the containers.
        instance=hashlib.sha256(str(home).encode()).hexdigest()[:16],
        parallelism=parallelism,
        passed={name: environ[name] for name in settings.pass_env if name in environ},
        grace_seconds=settings.cancel_grace,
        pull_seconds=settings.image_pull_deadline,
        orphan_seconds=settings.orphan_interval,
    )
    files = FileArtifactStore(Path(root.removeprefix("file://")) if root.startswith("file://") else _NOWHERE)
    store = RoutedStore(stores, environ, files=files)
    backend = ContainerBackend(
        containers,
        found,
        environ,
        store,
        lambda task, root: open_store(replace(task, store=stores.for_root(root).to_json()), environ),
    )
    return ConfiguredBackend(CONTAINER, backend, root, WORKSPACE, parallelism)
