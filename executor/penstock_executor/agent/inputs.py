"""Fetches a task's inputs before its program starts (docs/pods.md, executor.md §3.6).

Invariants: a fetched input is complete; a URI with nothing behind it is no error, except for a workspace; fetched files
are open to every user, since the program may run as another user than the agent.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path

from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.failures import CONFIGURATION, INFRASTRUCTURE, USER, AgentError
from penstock_executor.agent.protocol import Transfer
from penstock_executor.agent.share import log_line

_AT_ONCE = 8


async def fetch_all(store: ArtifactStore, inputs: Sequence[Transfer], timeout: float) -> None:
    """Several at a time, each within `timeout` seconds. Raises AgentError."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch_one(transfer: Transfer) -> None:
        async with slots:
            try:
                await asyncio.wait_for(_fetch(store, transfer), timeout)
            except asyncio.TimeoutError:
                text = f"the input {transfer.uri} was not fetched within {timeout:g} seconds"
                raise AgentError(INFRASTRUCTURE, text) from None
            except ArtifactStoreError as error:
                kind = INFRASTRUCTURE if error.transient else CONFIGURATION
                raise AgentError(kind, f"the input {transfer.uri} cannot be fetched: {error}") from error
            except OSError as error:
                text = f"the input {transfer.uri} cannot be put at {transfer.path}: {error.strerror or error}"
                raise AgentError(INFRASTRUCTURE, text) from error

    await asyncio.gather(*(fetch_one(transfer) for transfer in inputs))


async def _fetch(store: ArtifactStore, transfer: Transfer) -> None:
    target = Path(transfer.path)
    if transfer.keep:
        if not target.exists():
            await _fetch_into_workspace(store, transfer.uri, target)
        if transfer.link:
            link = Path(transfer.link)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if await store.fetch(transfer.uri, target):
        _make_accessible(target)
    else:
        log_line(f"nothing lies at {transfer.uri}")


async def _fetch_into_workspace(store: ArtifactStore, uri: str, target: Path) -> None:
    """Fetches into a workspace. Other Pods of the run may do so at the same time: the first rename wins."""
    part = target.parent / f".part-{uuid.uuid4().hex}"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not await store.fetch(uri, part):
            raise AgentError(USER, f"{uri} is not there, so it cannot be copied into the workspace")
        _make_accessible(part)
        try:
            part.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _make_accessible(path: Path) -> None:
    """Lets every user read and write a file or tree. Links are not followed: they may lead out of the tree."""
    _make_entry_accessible(path)
    for directory, directories, files in os.walk(path):
        for name in (*directories, *files):
            _make_entry_accessible(Path(directory, name))


def _make_entry_accessible(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        path.chmod(0o777)
    elif stat.S_ISREG(mode):
        path.chmod(stat.S_IMODE(mode) | 0o666)
