"""Takes what a task left to where it is kept, and its log too (docs/pods.md, executor.md §3.4).

Invariants: a file that is not there is no failure, executor.md §3.4; of several failures the first is told.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path

from penstock_store.base import ArtifactStore, ArtifactStoreError, ContentError, OutsideRootsError

from penstock_executor.agent.failures import CONFIGURATION, INFRASTRUCTURE, USER, AgentError
from penstock_executor.agent.outputs import Kept, Surroundings, Upload
from penstock_executor.agent.share import say

_AT_ONCE = 8


async def keep(
    store: ArtifactStore, uploads: Sequence[Upload], log: Upload | None, where: Surroundings, timeout: float
) -> Kept:
    """Several at a time, each within `timeout` seconds."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(upload: Upload) -> str | AgentError | None:
        async with slots:
            try:
                return upload.uri if await _upload(store, upload, where, timeout) else None
            except AgentError as error:
                say(error.text)
                return error

    *done, logged = await asyncio.gather(*map(one, uploads), _nothing() if log is None else one(log))
    failures = [result for result in done if isinstance(result, AgentError)]
    return Kept(
        stored=tuple(result for result in done if isinstance(result, str)),
        log_stored=isinstance(logged, str),
        failure=failures[0] if failures else None,
    )


async def _nothing() -> None:
    pass


async def _upload(store: ArtifactStore, upload: Upload, where: Surroundings, timeout: float) -> bool:
    """Raises AgentError."""
    what = f"the artifact {upload.port!r}"
    source = Path(upload.source)
    try:
        if source.exists() or source.is_symlink():
            checked = where.checked(upload.source, what)
            return await asyncio.wait_for(store.upload(checked, upload.uri, replace=upload.replaces), timeout)
        return upload.chosen and await _is_there(store, upload.uri, timeout)
    except asyncio.TimeoutError:
        text = f"{what} was not stored at {upload.uri} within {timeout:g} seconds"
        raise AgentError(INFRASTRUCTURE, text) from None
    except ArtifactStoreError as error:
        kind = INFRASTRUCTURE if error.transient else CONFIGURATION
        if isinstance(error, ContentError) or (upload.chosen and isinstance(error, OutsideRootsError)):
            kind = USER
        raise AgentError(kind, f"{what} cannot be stored: {error}") from error
    except OSError as error:
        # A name that no file can have is one that the task gave.
        kind = USER if error.errno == errno.ENAMETOOLONG else INFRASTRUCTURE
        raise AgentError(kind, f"{what} cannot be read: {error.strerror or error}") from error


async def _is_there(store: ArtifactStore, uri: str, timeout: float) -> bool:
    try:
        return await asyncio.wait_for(store.exists(uri), timeout)
    except ArtifactStoreError as error:
        # The task's own credentials may reach what ours do not.
        say(f"{uri} cannot be looked at: {error}")
        return False
