"""The flags of the container backend, and the backend built from them.

Invariant: flags and environment are still read by click alone, in the one command that uses `container_options`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from penstock_ir.backend_limits import CONTAINER
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.router import RoutedStore

from penstock_executor.options import Placed
from penstock_executor.pod_paths import WORKSPACE

_Command = TypeVar("_Command", bound=Callable[..., Any])
_NOWHERE = Path("/dev/null")


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """Times in seconds; `options` of the runtime's `run` come after those found by trying."""

    runtime: str
    options: tuple[str, ...]
    pass_env: tuple[str, ...]
    parallelism: int
    cancel_grace: int
    image_pull_deadline: float
    orphan_interval: float


def container_options(command: _Command) -> _Command:
    """Adds the flags that no other backend has."""
    for name, settings in reversed(_OPTIONS):
        command = click.option(f"--{name}", **settings)(command)
    return command


_OPTIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "container-runtime",
        {
            "default": "",
            "envvar": "PENSTOCK_CONTAINER_RUNTIME",
            "help": "Program that runs containers; podman, or else docker, unless given.",
        },
    ),
    (
        "container-option",
        {
            "multiple": True,
            "envvar": "PENSTOCK_CONTAINER_OPTION",
            "help": "An option of its `run` for every container, besides those found by trying; may be repeated.",
        },
    ),
)


def on_containers(
    options: ContainerOptions, directory: Path, stores: StoreConfig, root: str, environ: Mapping[str, str]
) -> Placed:
    """Raises click.UsageError when no container can be run here."""
    # Imported here: the other backends need none of it.
    from penstock_executor.agent.stores import open_store
    from penstock_executor.backends.container.backend import ContainerBackend
    from penstock_executor.backends.container.probe import NoRuntimeError, find
    from penstock_executor.backends.container.settings import ContainerSettings

    try:
        found = find(options.runtime, options.options)
    except NoRuntimeError as error:
        raise click.UsageError(f"--backend container: {error} (`penstock doctor` says more)") from error
    home = directory / "containers"
    settings = ContainerSettings(
        home=home,
        # Executors that share the directory share the containers.
        instance=hashlib.sha256(str(home).encode()).hexdigest()[:16],
        parallelism=options.parallelism,
        passed={name: environ[name] for name in options.pass_env if name in environ},
        grace_seconds=options.cancel_grace,
        pull_seconds=options.image_pull_deadline,
        orphan_seconds=options.orphan_interval,
    )
    known = stores.to_json()
    files = FileArtifactStore(Path(root.removeprefix("file://")) if root.startswith("file://") else _NOWHERE)
    store = RoutedStore(stores, environ, files=files)
    backend = ContainerBackend(
        settings, found, environ, store, lambda task: open_store(replace(task, store=known), environ)
    )
    return Placed(CONTAINER, backend, root, WORKSPACE)
