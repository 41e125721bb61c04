"""Makes the local backend: tasks are processes of this machine."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_ir.backend_limits import LOCAL
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore, path_of
from penstock_store.router import RoutedStore

from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.composition.configured import ConfiguredBackend
from penstock_executor.settings import Settings


def local_backend(
    settings: Settings, parallelism: int, stores: StoreConfig, environ: Mapping[str, str]
) -> ConfiguredBackend:
    """Makes the directories that it needs. Raises OSError where it may not."""
    directory = settings.directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = stores.default_root
    for part in ("work", "environments", "artifacts"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    path = path_of(root)
    files = FileArtifactStore(path if path is not None else directory / "artifacts")
    store = RoutedStore(stores, environ, files=files)
    local = LocalSettings(
        directory / "work",
        directory / "environments",
        parallelism,
        root=path,
        passed_variables=settings.pass_env,
    )
    backend = LocalBackend(local, store, environ)
    return ConfiguredBackend(LOCAL, backend, root, f"{directory / 'work'}/{{run_id}}", parallelism)
