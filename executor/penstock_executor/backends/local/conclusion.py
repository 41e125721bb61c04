"""From an ended process to the outcome of its attempt: how it ended, what it left, and where that is kept.

Invariants: outputs are taken only of a program that ended well.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

from penstock_ir.artifact import Artifact
from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStore, ArtifactStoreError, ContentError, OutsideRootsError
from penstock_store.files import path_of, uri_of

from penstock_executor.artifacts.output_files import OutputError, metadata_text, parameter_text
from penstock_executor.artifacts.outputs import CollectedOutputs, interpret_outputs
from penstock_executor.attempts import TaskLaunch, TaskOutcome
from penstock_executor.backends.attempt_life import StopReason
from penstock_executor.backends.exit_texts import last_lines
from penstock_executor.backends.local.directory import Exit
from penstock_executor.backends.local.inputs import TaskFiles
from penstock_executor.backends.local.local_attempt import LocalAttempt
from penstock_executor.backends.local.verdict import ExitContext, verdict

_FULL_BYTES = 64 * 1024


class _NotStoredError(Exception):
    """An artifact cannot be stored; whose fault that is."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def is_elsewhere(task: TaskLaunch) -> bool:
    """Whether what the task leaves has to be brought to a store that is not in files."""
    return path_of(task.task_root) is None


class Conclusion:
    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def outcome(self, attempt: LocalAttempt) -> TaskOutcome:
        """Of an attempt whose exit is known. Raises what nobody foresaw."""
        exit_, files, task = attempt.exit, attempt.files, attempt.task
        assert exit_ is not None and files is not None
        failure = verdict(task, exit_, _exit_context(attempt, files) if exit_.code != 0 else ExitContext())
        if failure is not None:
            return attempt.failed(*failure, exit_)
        try:
            outputs = interpret_outputs(
                task,
                parameter_text=lambda name: parameter_text(name, attempt.directory.outputs / name),
                metadata_text=metadata_text(files.output_metadata),
                stored_uri=files.stored_uri,
                present=lambda uri: _present(files, uri),
            )
            if is_elsewhere(task) or any(one.custom_path for many in outputs.artifacts.values() for one in many):
                outputs = await self._stored(attempt, files, outputs)
        except OutputError as error:
            return attempt.failed(FailureKind.USER, str(error), exit_)
        except _NotStoredError as error:
            return attempt.failed(error.kind, str(error), exit_)
        return _succeeded(attempt, files, exit_, outputs)

    async def _stored(self, attempt: LocalAttempt, files: TaskFiles, outputs: CollectedOutputs) -> CollectedOutputs:
        """Copies what the task left here or in places of its own to where artifacts are kept (executor.md §3.4).

        Raises _NotStoredError.
        """
        stored: dict[str, tuple[Artifact, ...]] = {}
        for port, many in outputs.artifacts.items():
            stored[port] = tuple([await self._stored_artifact(attempt, files, port, one) for one in many])
        return replace(outputs, artifacts=stored)

    async def _stored_artifact(
        self, attempt: LocalAttempt, files: TaskFiles, port: str, artifact: Artifact
    ) -> Artifact:
        """Raises _NotStoredError."""
        what = f"the artifact {port!r} cannot be stored"
        if artifact.custom_path:
            what = f"what the task left at {artifact.custom_path!r} cannot be stored as the artifact {port!r}"
        try:
            return await self._uploaded(attempt, files, artifact)
        except ArtifactStoreError as error:
            chosen = not artifact.uri.startswith(f"{attempt.task.task_root}/")
            users = isinstance(error, ContentError) or (chosen and isinstance(error, OutsideRootsError))
            kind = FailureKind.USER if users else FailureKind.INFRASTRUCTURE
            raise _NotStoredError(kind, f"{what}: {error}") from error

    async def _uploaded(self, attempt: LocalAttempt, files: TaskFiles, artifact: Artifact) -> Artifact:
        """Raises ArtifactStoreError."""
        if artifact.custom_path:
            source = attempt.directory.working / artifact.custom_path
            there = await self._store.for_root(attempt.task.pipeline_root).upload(source, artifact.uri)
            return replace(artifact, custom_path="", absent=artifact.absent and not there)
        if artifact.uri.startswith(f"{attempt.task.task_root}/") and is_elsewhere(attempt.task):
            left = files.path_of(artifact.uri)
            if left is not None:
                await self._store.for_root(attempt.task.pipeline_root).upload(left, artifact.uri)
        return artifact


def _succeeded(attempt: LocalAttempt, files: TaskFiles, exit_: Exit, outputs: CollectedOutputs) -> TaskOutcome:
    started = attempt.started_at or attempt.directory.started_at() or exit_.at
    return TaskOutcome(
        key=attempt.key,
        started_at_millis=started,
        finished_at_millis=max(started, exit_.at),
        exit_code=exit_.code,
        parameters=outputs.parameters,
        artifacts=outputs.artifacts,
        log_uri=uri_of(files.log),
        pod_name=attempt.task.pod_name,
        times=attempt.ended(exit_, started, stored=True),
    )


def _exit_context(attempt: LocalAttempt, files: TaskFiles) -> ExitContext:
    # Its own words may not have fitted into the log any more.
    full = f"the artifact store is full ({files.log.parent}: {os.strerror(errno.ENOSPC)})"
    return ExitContext(
        canceled=attempt.state.stop is StopReason.CANCELED,
        overdue=attempt.state.stop is StopReason.DEADLINE,
        unstarted=attempt.directory.spawn_error(),
        tail=last_lines(files.log),
        log_incomplete=full if _is_full(files.log.parent) else "",
    )


def _present(files: TaskFiles, uri: str) -> bool:
    # What lies elsewhere was put there by the task itself, which knows.
    path = files.path_of(uri)
    return path is None or path.exists()


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _FULL_BYTES
    except OSError:
        return False
