"""Prepares a task's files: inputs in place, directories created, its command line resolved.

Invariants: inputs are the task's own (`views`): what it writes to them changes nothing that is stored. The task sees
plain paths instead of URIs, as the SDK does locally; `TaskFiles` turns them back into the stored URIs. Adopting an
attempt writes nothing.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock_ir.artifact import Artifact
from penstock_store.base import ArtifactStore, ArtifactStoreError
from penstock_store.config import PROVIDERS
from penstock_store.files import path_of, uri_of

from penstock_executor.artifacts.untrusted_files import read_untrusted
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.local import views
from penstock_executor.backends.local.directory import AttemptDirectory
from penstock_executor.backends.local.views import Overlay, View
from penstock_executor.backends.transfers import store_of_root
from penstock_executor.backends.trees import remove_tree
from penstock_executor.engine.placeholders import executor_input, resolve_command

_FETCH_SECONDS = 600.0
_SHOWN = "shown"
_SHOWN_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """`home` is where the task leaves its artifacts and its log: its task root, when that is a directory of this
    machine. `shown` maps a path as the task sees it to the stored URI, where the two differ."""

    argv: tuple[str, ...]
    home: Path
    shown: Mapping[str, str] = field(default_factory=dict)
    view: View | None = None

    @property
    def log(self) -> Path:
        return self.home / "executor-logs"

    @property
    def output_metadata(self) -> Path:
        return self.home / "output_metadata.json"

    def stored_uri(self, shown: str) -> str:
        """The stored URI of one as the task saw it (a plain path for files)."""
        path = path_of(shown)
        if path is None:
            return shown
        for above in (path, *path.parents):
            stored = self.shown.get(str(above))
            if stored is not None:
                rest = path.relative_to(above).as_posix()
                return stored if rest == "." else f"{stored}/{rest}"
        return uri_of(path)

    def path_of(self, stored: str) -> Path | None:
        """Where this machine has what the task left at a URI; None for what the task itself put elsewhere."""
        path = path_of(stored)
        if path is not None:
            # Not where the task saw it: an input that it hands on was seen there by the task alone.
            return path
        for shown, uri in self.shown.items():
            if stored == uri or stored.startswith(f"{uri}/"):
                return Path(shown + stored[len(uri) :])
        return None


@dataclass(frozen=True, slots=True)
class LocalInputs:
    """`root` is the artifact root, its links followed, when that is in files; `overlays` says whether tasks can have
    views of it."""

    store: ArtifactStore
    work_dir: Path
    root: Path | None
    overlays: bool

    def adopt(self, task: TaskLaunch, directory: AttemptDirectory) -> TaskFiles:
        """The files of an attempt that somebody prepared."""
        try:
            # The task may have written it.
            shown = json.loads(read_untrusted(directory.path / _SHOWN, _SHOWN_BYTES))
        except (OSError, ValueError, RecursionError):
            shown = {}
        texts = isinstance(shown, dict) and all(isinstance(uri, str) for uri in shown.values())
        return TaskFiles((), self._home(task, directory), shown if texts else {})

    async def prepare(self, task: TaskLaunch, directory: AttemptDirectory) -> TaskFiles:
        """Raises TaskSpecError, ArtifactStoreError, OSError."""
        home = self._home(task, directory)
        home.mkdir(parents=True, exist_ok=True)
        inputs = _Inputs(self, directory, store_of_root(self.store, task.pipeline_root))
        for port, artifacts in task.input_artifacts.items():
            for index, artifact in enumerate(artifacts):
                await inputs.place(artifact, directory.inputs / port / str(index))
        if task.uses_workspace:
            directory.workspace.mkdir(exist_ok=True)
        if path_of(task.task_root) is None:
            inputs.shown[str(home)] = task.task_root
        if inputs.shown:
            (directory.path / _SHOWN).write_text(json.dumps(inputs.shown))

        def shown(artifact: Artifact) -> str:
            known = inputs.paths.get(artifact.uri)
            if known is not None:
                return known
            path = path_of(artifact.uri)
            if path is not None:
                return str(path)
            ours = artifact.uri.startswith(f"{task.task_root}/")
            return f"{home}{artifact.uri[len(task.task_root) :]}" if ours else artifact.uri

        document = executor_input(
            task,
            local_uri=shown,
            output_parameter_dir=str(directory.outputs),
            output_file=str(home / "output_metadata.json"),
            uri_of_output=lambda port: str(home / port),
        )
        argv = resolve_command(task, document, lambda artifact: artifact.custom_path or shown(artifact))
        return TaskFiles(tuple(argv), home, inputs.shown, inputs.view(home))

    def _home(self, task: TaskLaunch, directory: AttemptDirectory) -> Path:
        root = path_of(task.task_root)
        return root if root is not None else directory.path / "task"


class _Inputs:
    """The input artifacts of one attempt: `paths` by their URIs, `shown` the other way round where paths differ."""

    def __init__(self, machine: LocalInputs, directory: AttemptDirectory, store: ArtifactStore) -> None:
        self._machine = machine
        self._store = store
        self._directory = directory
        self._in_root = False
        self._outside: list[Overlay] = []
        self.paths: dict[str, str] = {}
        self.shown: dict[str, str] = {}

    async def place(self, artifact: Artifact, place: Path) -> None:
        """Raises ArtifactStoreError, OSError."""
        if artifact.uri in self.paths:
            return
        if artifact.workspace:
            path: Path | None = await self._in_workspace(artifact)
        else:
            stored = self._store.local_path(artifact.uri)
            path = await self._own(stored, place) if stored is not None else await self._fetched(artifact.uri, place)
        self.paths[artifact.uri] = str(path) if path is not None else artifact.uri
        if path is not None and path != path_of(artifact.uri):
            self.shown[str(path)] = artifact.uri

    def view(self, home: Path) -> View | None:
        root = self._machine.root
        if root is None or not self._in_root:
            return View(tuple(self._outside)) if self._outside else None
        overlay = Overlay(root, root, self._directory.scratch / "root")
        return View((*self._outside, overlay), (home,) if root in home.resolve().parents else ())

    async def _own(self, stored: Path, place: Path) -> Path:
        if not _lies_there(stored):
            # Metrics, for one, have no file; what is missing is told by whoever opens it.
            return stored
        if self._machine.overlays:
            if self._is_below_root(stored):
                self._in_root = True
                return stored
            scratch = self._directory.scratch / str(len(self._outside))
            overlay = views.overlay_outside(stored, place, scratch, self._machine.work_dir)
            if overlay is not None:
                self._outside.append(overlay[0])
                return overlay[1]
        target = place / (stored.name or "input")
        # One that was prepared before and not begun may have left a part.
        await asyncio.to_thread(remove_tree, place)
        await views.copy(stored, target)
        return target

    def _is_below_root(self, stored: Path) -> bool:
        """And in its file system: what is mounted below it is not in the view."""
        root = self._machine.root
        return root is not None and root in stored.resolve().parents and stored.stat().st_dev == root.stat().st_dev

    async def _fetched(self, uri: str, target: Path) -> Path | None:
        if "://" in uri and uri.split("://", 1)[0] not in PROVIDERS:
            return None
        try:
            await asyncio.wait_for(self._store.fetch(uri, target), _FETCH_SECONDS)
        except ArtifactStoreError:
            # The task may need its URI only; a missing file is told by whoever opens it.
            return None
        return target

    async def _in_workspace(self, artifact: Artifact) -> Path:
        """The run's copy, made once: it appears whole, whichever task comes first. Raises ArtifactStoreError."""
        digest = hashlib.sha256(artifact.uri.encode()).hexdigest()[:16]
        name = artifact.uri.rstrip("/").rsplit("/", 1)[-1] or "artifact"
        target = self._directory.workspace / ".artifacts" / digest / name
        if target.exists():
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


def _lies_there(path: Path) -> bool:
    """Nothing lies under a name that is too long for any file. Raises OSError."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
