"""What a task needs on disk before it starts: inputs in place, directories made, its command line resolved.

Invariants: files that are local already are used where they are; everything else is fetched into the attempt's own
directory. The task sees plain paths as URIs, which is how the SDK runs locally. Adopting an attempt writes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from penstock_store.base import ArtifactStore, ArtifactStoreError
from penstock_store.files import path_of

from penstock_executor.artifacts.base import Artifact
from penstock_executor.backends.base import TaskLaunch
from penstock_executor.backends.local.attempts import AttemptDirectory
from penstock_executor.engine.placeholders import executor_input, resolve_command


@dataclass(frozen=True, slots=True)
class TaskFiles:
    argv: tuple[str, ...]
    log: Path
    output_metadata: Path

    def tail(self, count: int) -> str:
        """The last lines of the log, at most so many bytes."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(0, 2)
                stream.seek(max(0, stream.tell() - count))
                data = stream.read(count)
        except OSError:
            return ""
        text = data.decode("utf-8", "replace")
        if len(data) == count and "\n" in text:
            text = text.split("\n", 1)[1]
        return text.strip()


class LocalInputs:
    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, task: TaskLaunch, directory: AttemptDirectory, *, adopt: bool = False) -> TaskFiles:
        """Raises ArtifactStoreError, OSError."""
        root = path_of(task.task_root)
        if root is None and task.output_artifacts:
            raise ArtifactStoreError(
                f"the pipeline root {task.pipeline_root} is no file:// place, and the local backend keeps artifacts "
                "in files: give the run a file:// pipeline root"
            )
        home = root if root is not None else directory.path
        if not adopt:
            home.mkdir(parents=True, exist_ok=True)
        paths: dict[str, str] = {}
        for port, artifacts in task.input_artifacts.items():
            for index, artifact in enumerate(artifacts):
                paths[artifact.uri] = await self._local(artifact, directory, port, index, adopt)
        if task.uses_workspace and not adopt:
            (directory.path.parents[1] / "workspace").mkdir(exist_ok=True)

        def shown(artifact: Artifact) -> str:
            known = paths.get(artifact.uri)
            if known is not None:
                return known
            path = path_of(artifact.uri)
            return str(path) if path is not None else artifact.uri

        document = executor_input(
            task,
            local_uri=shown,
            output_parameter_dir=str(directory.outputs),
            output_file=str(home / "output_metadata.json"),
            uri_of_output=lambda port: str(home / port),
        )
        argv = resolve_command(task, document, lambda artifact: artifact.custom_path or shown(artifact))
        return TaskFiles(tuple(argv), home / "executor-logs", home / "output_metadata.json")

    async def _local(self, artifact: Artifact, directory: AttemptDirectory, port: str, index: int, adopt: bool) -> str:
        if artifact.workspace:
            return str(await self._in_workspace(artifact, directory.path.parents[1] / "workspace", adopt))
        path = self._store.local_path(artifact.uri)
        if path is not None:
            return str(path)
        if "://" in artifact.uri and artifact.uri.split("://", 1)[0] not in ("s3", "gs", "minio", "http", "https"):
            return artifact.uri
        target = directory.path / "inputs" / port / str(index)
        if not adopt:
            try:
                await asyncio.wait_for(self._store.fetch(artifact.uri, target), 600)
            except ArtifactStoreError:
                # The task may need its URI only; a missing file is told by whoever opens it.
                return artifact.uri
        return str(target)

    async def _in_workspace(self, artifact: Artifact, workspace: Path, adopt: bool) -> Path:
        """The run's copy, made once: it appears whole, whichever task comes first. Raises ArtifactStoreError."""
        digest = hashlib.sha256(artifact.uri.encode()).hexdigest()[:16]
        target = workspace / ".artifacts" / digest / (artifact.uri.rstrip("/").rsplit("/", 1)[-1] or "artifact")
        if adopt or target.exists():
            return target
        part = target.parent / f".part-{uuid.uuid4().hex}"
        part.parent.mkdir(parents=True, exist_ok=True)
        if not await self._store.fetch(artifact.uri, part):
            raise ArtifactStoreError(f"{artifact.uri} is not there, so it cannot be copied into the workspace")
        try:
            part.rename(target)
        except OSError:
            # Another task was faster.
            if not target.exists():
                raise
            await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        return target
