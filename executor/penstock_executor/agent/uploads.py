"""Uploads a task's artifacts and its log to the store (docs/pods.md, executor.md §3.4).

Invariants: a missing file is no failure (executor.md §3.4); of several failures the first is reported.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path

from penstock_store.base import ArtifactStore, ArtifactStoreError, ContentError, OutsideRootsError

from penstock_executor.agent.failures import CONFIGURATION, INFRASTRUCTURE, USER, AgentError
from penstock_executor.agent.outputs import PodFiles, Upload, UploadResult
from penstock_executor.agent.share import log_line

_AT_ONCE = 8


async def upload_outputs(
    store: ArtifactStore, uploads: Sequence[Upload], log: Upload | None, where: PodFiles, timeout: float
) -> UploadResult:
    """Several at a time, each within `timeout` seconds."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def upload_one(upload: Upload) -> str | AgentError | None:
        async with slots:
            try:
                return upload.uri if await _upload(store, upload, where, timeout) else None
            except AgentError as error:
                log_line(error.text)
                return error

    *done, logged = await asyncio.gather(*map(upload_one, uploads), _nothing() if log is None else upload_one(log))
    failures = [result for result in done if isinstance(result, AgentError)]
    return UploadResult(
        stored=tuple(result for result in done if isinstance(result, str)),
        log_stored=isinstance(logged, str),
        failure=failures[0] if failures else None,
    )


async def _nothing() -> None:
    pass


async def _upload(store: ArtifactStore, upload: Upload, where: PodFiles, timeout: float) -> bool:
    """Raises AgentError."""
    what = f"the artifact {upload.port!r}"
    source = Path(upload.source)
    if upload.refused:
        text = f"{what} may not be stored at {upload.uri}: the list 'pipelineRoots' of the namespace does not name it"
        raise AgentError(USER, text)
    try:
        if source.exists() or source.is_symlink():
            checked = where.checked(upload.source, what)
            return await asyncio.wait_for(store.upload(checked, upload.uri, replace=upload.replaces), timeout)
        return upload.chosen and await _exists(store, upload.uri, timeout)
    except asyncio.TimeoutError:
        text = f"{what} was not stored at {upload.uri} within {timeout:g} seconds"
        raise AgentError(INFRASTRUCTURE, text) from None
    except ArtifactStoreError as error:
        kind = INFRASTRUCTURE if error.transient else CONFIGURATION
        if isinstance(error, ContentError) or (upload.chosen and isinstance(error, OutsideRootsError)):
            kind = USER
        raise AgentError(kind, f"{what} cannot be stored: {error}") from error
    except OSError as error:
        # Only the task can have chosen a name that is too long.
        kind = USER if error.errno == errno.ENAMETOOLONG else INFRASTRUCTURE
        raise AgentError(kind, f"{what} cannot be read: {error.strerror or error}") from error


async def _exists(store: ArtifactStore, uri: str, timeout: float) -> bool:
    try:
        return await asyncio.wait_for(store.exists(uri), timeout)
    except ArtifactStoreError as error:
        # The task may have stored it with credentials that the agent does not have.
        log_line(f"{uri} cannot be looked at: {error}")
        return False
