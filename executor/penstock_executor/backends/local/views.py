"""Gives a task its own view of inputs and cached packages, which it shares with others: only it sees its changes.

On a machine with overlay file systems a task gets a mount namespace (`fork_server.enter_view`) in which the cached
environments and, when it has inputs, the artifact root are overlays. Nothing is copied until the task writes. On other
machines inputs are copied before the task starts, sharing blocks where the file system can do that, and cached files
are read-only (`environments`).

Invariants: paths in a view are those of the store, so URIs mean the same to every task. Files that lie outside the
artifact root appear in the attempt's own directory; the task never sees the user's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_store.base import ArtifactStoreError

from penstock_executor.backends.local.connection import PROGRAM
from penstock_executor.backends.local.programs import output_of
from penstock_executor.backends.trees import remove_tree

_PROBE_SECONDS = 20.0
_COPY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is in `lower` lies at `target`; `scratch` takes up what is written there, memory when there is none."""

    lower: Path
    target: Path
    scratch: Path | None


@dataclass(frozen=True, slots=True)
class View:
    """`through` are directories below an overlay that are still those of the machine."""

    overlays: tuple[Overlay, ...]
    through: tuple[Path, ...] = ()

    def message(self) -> dict[str, Any]:
        """As the fork server takes it."""
        return {
            "overlays": [
                [str(one.lower), str(one.target), None if one.scratch is None else str(one.scratch)]
                for one in self.overlays
            ],
            "through": [str(path) for path in self.through],
        }


async def why_no_view(python: str, root: Path, work_dir: Path, *, in_memory: bool = False) -> str:
    """Why tasks that work in `work_dir` cannot have views of the directory `root`; empty when they can. What they write
    there is kept under `work_dir`, or `in_memory`."""
    if sys.platform != "linux":
        return f"there are no overlay file systems on {sys.platform}"
    if root in (work_dir, *work_dir.parents):
        return f"tasks work in {work_dir}, which lies in {root}"
    scratch = work_dir / f".view-{uuid.uuid4().hex}"
    view = View((Overlay(root, root, None if in_memory else scratch),))
    try:
        if not _is_ours(root):
            return f"{root} belongs to another user or group"
        scratch.mkdir(parents=True)
        code, said = await output_of(
            *(python, "-I", str(PROGRAM), "--view", json.dumps(view.message())), timeout=_PROBE_SECONDS
        )
        return "" if code == 0 else said[-500:]
    except asyncio.TimeoutError:
        return f"no answer within {_PROBE_SECONDS:g} seconds"
    except OSError as error:
        return str(error)
    finally:
        await asyncio.to_thread(remove_tree, scratch)


def overlay_outside(source: Path, place: Path, scratch: Path, work_dir: Path) -> tuple[Overlay, Path] | None:
    """An overlay under which the task sees `source`, which lies outside of the artifact root, and its path there.

    `place` and `scratch` are directories of the attempt's own. None when it has to be copied: what is written cannot
    lie inside of what is shown, nor be of somebody else.
    """
    real = source.resolve()
    if not _is_ours(real):
        return None
    if real.is_dir():
        lower, target = real, place / "view" / source.name
        shown = target
    else:
        lower, target = place / "file", place / "view"
        shown = target / source.name
        lower.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.suppress(FileExistsError):
                (lower / source.name).hardlink_to(real)
        except OSError:
            # Another file system, or another owner's: its directory is shown instead.
            lower, shown = real.parent, target / real.name
    if lower == work_dir or lower in work_dir.parents:
        return None
    target.mkdir(parents=True, exist_ok=True)
    return Overlay(lower, target, scratch), shown


def _is_ours(path: Path) -> bool:
    """Whether a view takes up what is written to `path`: without privileges it knows one user and group alone."""
    found = path.stat()
    return os.geteuid() == 0 or (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


async def copy(source: Path, target: Path) -> None:
    """Copies a file or a directory, sharing blocks where the file system can. Raises ArtifactStoreError."""
    sharing = ("-c",) if sys.platform == "darwin" else ("--reflink=auto",)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        code, said = await output_of(
            *("cp", "-R", "-p", *sharing, "--", str(source), str(target)), timeout=_COPY_SECONDS
        )
    except asyncio.TimeoutError:
        code, said = 1, f"it took more than {_COPY_SECONDS:g} seconds"
    if code != 0:
        raise ArtifactStoreError(f"{source} cannot be copied for the task: {said[-500:]}")
