"""Opens the store for one task's agent. Its modules are imported only here, when there is something to transfer.

Invariant: files are written under the task's own pipeline root alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_executor.agent.protocol import AgentTask

if TYPE_CHECKING:
    from penstock_store.base import ArtifactStore

_NOWHERE = Path("/dev/null")
"""A root under which nothing lies."""


def open_store(task: AgentTask, environ: Mapping[str, str]) -> ArtifactStore:
    """Raises ArtifactStoreError."""
    from penstock_store.base import Limits
    from penstock_store.config import StoreConfig
    from penstock_store.files import FileArtifactStore, path_of
    from penstock_store.router import RoutedStore

    path = path_of(task.task_root)
    # `<root>/<pipeline>/<run>/<task>/<uuid>`: nothing is written outside of the pipeline's root.
    root = path.parents[min(3, len(path.parents) - 1)] if path is not None else _NOWHERE
    return RoutedStore(
        StoreConfig.from_json(task.store), environ, files=FileArtifactStore(root), limits=Limits(timeout=task.timeout)
    )
