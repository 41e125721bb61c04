"""Removes what attempts leave: containers, directories.

Invariants: in the background, a few at a time. What cannot be removed now is left to the collector of orphans, which
tries again. Files that belong to a user of a container's user namespace are removed from within it (`podman unshare`).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.trees import remove_tree

log = logging.getLogger(__name__)

_AT_ONCE = 2


class Removal:
    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def container(self, name: str, directory: Path | None = None) -> None:
        """Removes the container, also when it runs, and its anonymous volumes; then its directory."""
        async with self._slots:
            try:
                await self._runtime.call("rm", "--force", "--volumes", name)
            except RuntimeFailedError as error:
                if "no such container" not in str(error).lower():
                    log.warning("the container %s cannot be removed: %s", name, error)
                    return
            if directory is not None:
                await self.tree(directory)

    async def tree(self, directory: Path) -> None:
        await asyncio.to_thread(remove_tree, directory)
        if directory.exists() and self._runtime.is_podman:
            try:
                await self._runtime.call("unshare", "rm", "-rf", str(directory))
            except RuntimeFailedError as error:
                log.warning("%s cannot be removed: %s", directory, error)
