"""Artifacts in files: the store of a laptop.

Invariants: URIs are `file://` with an absolute path; writing is confined to the root; a file appears whole or not at
all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from penstock_store.base import ArtifactStoreError


def path_of(uri: str) -> Path | None:
    """The path of a file URI or of a plain absolute path; None for other schemes."""
    if uri.startswith("/"):
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def uri_of(path: str | Path) -> str:
    return "file://" + quote(str(path))


class FileArtifactStore:
    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def local_path(self, uri: str) -> Path | None:
        return path_of(uri)

    async def fetch(self, uri: str, target: Path) -> bool:
        source = self._known(uri)
        if not source.exists():
            return False
        await asyncio.to_thread(_copy, source, target)
        return True

    async def upload(self, source: Path, uri: str) -> bool:
        target = self._known(uri)
        real = Path(os.path.realpath(target))
        if self._root not in real.parents:
            raise ArtifactStoreError(f"{uri} lies outside the artifact root {self._root}")
        if not source.exists():
            return False
        if source.resolve() != real:
            await asyncio.to_thread(_copy, source, real)
        return True

    async def exists(self, uri: str) -> bool:
        return self._known(uri).exists()

    def _known(self, uri: str) -> Path:
        path = path_of(uri)
        if path is None:
            raise ArtifactStoreError(f"{uri}: this store keeps files only; use a file:// pipeline root")
        return path


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        os.close(handle)
        try:
            shutil.copyfile(source, name)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise ArtifactStoreError(f"{source} cannot be copied to {target}: {error}") from error
