"""Gives a task inputs of its own: what it writes into them changes nothing that is stored.

A file or directory of this machine is mounted as the lower layer of an overlay, which costs the same for a gigabyte as
for a byte; everything else is copied into the attempt's directory, as an agent does it in a Pod.

Invariant: an overlay shows what was asked for and nothing beside it: of a single file a directory with a hard link.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from penstock_store.base import ArtifactStore
from penstock_store.files import path_of

from penstock_executor.agent.inputs import fetch_all
from penstock_executor.agent.protocol import Transfer
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.volumes import Mount

_LOWER = "inputs"


async def bring(
    store: ArtifactStore, inputs: Sequence[Transfer], directory: AttemptDirectory, *, overlays: bool, timeout: float
) -> list[Mount]:
    """What has to be mounted besides; the rest is there afterwards. Raises AgentError, OSError."""
    mounts: dict[str, Mount] = {}
    copied: list[Transfer] = []
    for one in inputs:
        mount = _overlay(one, directory) if overlays and not one.keep else None
        if mount is None:
            copied.append(one)
        else:
            mounts[mount.target] = mount
    at_home = [replace(one, path=str(directory.on_host(one.path)), link="") for one in copied]
    await fetch_all(store, at_home, timeout)
    for one in copied:
        if one.link:
            link = directory.on_host(one.link)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            # The target is a path of the container, not of this machine.
            link.symlink_to(one.path)
    return list(mounts.values())


def _overlay(one: Transfer, directory: AttemptDirectory) -> Mount | None:
    """None when the input has to be copied."""
    source = path_of(one.uri)
    if source is None or ":" in one.path or ":" in str(source) or not source.exists():
        return None
    if source.is_dir():
        return Mount(one.path, str(source), "O")
    place, name = os.path.split(one.path)
    lower = directory.path / _LOWER / place.strip("/")
    try:
        lower.mkdir(parents=True, exist_ok=True)
        target = lower / name
        target.unlink(missing_ok=True)
        os.link(os.path.realpath(source), target)
    except OSError:
        # Another file system, or a file of somebody else.
        return None
    return Mount(place, str(lower), "O")
