"""Everything that a container needs before it can be made: image, files, mounts, the wrapper.

Invariant: nothing of it makes a container, and all of it may be done again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from penstock_store.base import ArtifactStore

from penstock_executor.backends.container.claims import ClaimVolumes
from penstock_executor.backends.container.command import RunOptions, run_command
from penstock_executor.backends.container.conclusion import log_file
from penstock_executor.backends.container.container_attempt import ContainerAttempt
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.images import Images
from penstock_executor.backends.container.inputs import bring
from penstock_executor.backends.container.probe import PODMAN, wrapper
from penstock_executor.backends.container.settings import ContainerSettings
from penstock_executor.backends.container.volumes import OWN_VOLUMES, Mount, claims_in_parts, our_mounts, task_mounts
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import OCI, store_of_root, transfers_of
from penstock_executor.pod_paths import local_form


class Preparation:
    def __init__(
        self,
        settings: ContainerSettings,
        options: RunOptions,
        store: ArtifactStore,
        images: Images,
        volumes: ClaimVolumes,
    ) -> None:
        self._settings = settings
        self._options = options
        self._store = store
        self._images = images
        self._volumes = volumes

    async def command(self, attempt: ContainerAttempt) -> list[str]:
        """The command line that makes and starts the container. The attempt keeps when its image and inputs were there.

        Raises TaskSpecError, RuntimeFailedError, AgentError, ArtifactStoreError, OSError.
        """
        task, directory = attempt.task, attempt.directory
        paths = TaskPaths(task)
        moved = transfers_of(task, paths)
        image = await self._images.get(task.image, str(task.kubernetes.get("imagePullPolicy") or ""))
        attempt.times = replace(attempt.times, prepared=_now())
        directory.prepare(workspace=task.uses_workspace)
        log = log_file(task, directory)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        log.chmod(0o666)
        ours = our_mounts(directory, self._wrapper(image.architecture), log, [paths.root, *moved.paths()])
        brought = await bring(
            store_of_root(self._store, task.pipeline_root),
            moved.inputs,
            directory,
            overlays=self._options.runtime.overlays,
            timeout=self._settings.transfer_seconds,
        )
        if moved.inputs:
            attempt.times = replace(attempt.times, fetched=_now())
        for mount in brought:
            directory.on_host(mount.target).mkdir(parents=True, exist_ok=True)
        mountpoints = {claim: await self._volumes.mountpoint(claim) for claim in claims_in_parts(task.kubernetes)}
        users = task_mounts(task.kubernetes, directory, mountpoints, ours)
        for mount in users:
            self._make(mount.source, directory, mountpoints)
        models = [await self._model(one.uri) for one in moved.models]
        return run_command(task, paths, image, [*ours, *brought, *models, *users], self._options)

    async def _model(self, uri: str) -> Mount:
        """An input that is an image shows its files. Raises TaskSpecError, RuntimeFailedError."""
        if self._options.runtime.kind != PODMAN:
            raise TaskSpecError(f"{uri}: only podman shows the files of an image to a task; use it, or Kubernetes")
        image = await self._images.get(uri.removeprefix(OCI), "")
        path = local_form(uri) or ""
        return Mount(path.rsplit("/", 1)[0], image.name, "image")

    @staticmethod
    def _make(source: str, directory: AttemptDirectory, mountpoints: dict[str, str]) -> None:
        """The directory of a mount that is not there by itself. Raises OSError."""
        ours = source.startswith(f"{directory.path / OWN_VOLUMES}/")
        if ours or any(source.startswith(f"{volume}/") for volume in mountpoints.values()):
            made = Path(source)
            made.mkdir(parents=True, exist_ok=True)
            made.chmod(0o777)

    def _wrapper(self, architecture: str) -> Path:
        """A copy that any user may run, whatever this program is installed as. Raises TaskSpecError, OSError."""
        try:
            source = wrapper(architecture)
            data = source.read_bytes()
        except FileNotFoundError as error:
            raise TaskSpecError(f"there is no wrapper for images of the architecture {architecture!r}") from error
        target = self._settings.home / f"run-{architecture}-{hashlib.sha256(data).hexdigest()[:12]}"
        if not target.exists():
            part = target.with_suffix(f".{os.getpid()}")
            shutil.copyfile(source, part)
            part.chmod(0o555)
            part.replace(target)
        return target


def _now() -> int:
    return time.time_ns() // 1_000_000
