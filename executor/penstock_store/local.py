"""The local side of a transfer: atomic writes, paths that stay inside a directory, walks over a tree.

Invariants: nothing is written outside of the target directory; no link is followed out of the source directory, since
the process that moves files may have more rights than the one that wrote them.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_store.base import ArtifactStoreError, ContentError


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it when the block ends without an exception. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".part-{secrets.token_hex(8)}"
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def path_inside(directory: Path, name: str) -> Path:
    """The path of an object called `name` under `directory`. Raises ArtifactStoreError for names with `..`."""
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments or "\0" in name or not segments:
        raise ArtifactStoreError(f"object {name!r}: its name leads out of the directory it belongs in")
    return directory.joinpath(*segments)


def source_exists(source: Path) -> bool:
    """Whether `source` exists. Raises ContentError when it does but cannot be stored."""
    try:
        if not source.exists():
            return False
    except OSError as error:
        raise ContentError(f"{source} cannot be looked at: {error.strerror or error}") from error
    if not source.is_dir():
        check_file(source)
    return True


def check_file(path: Path) -> None:
    """Raises ContentError when `path` is no regular file or is not readable, OSError when it cannot be looked at."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ContentError(f"{path}: it is neither a file nor a directory")
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error


def walk_tree(directory: Path, *, links: bool = True) -> Iterator[tuple[str, Path, int | None]]:
    """Name, path and size of every file under a directory, in order of names; an empty directory has the size None.

    Raises ContentError for an entry that cannot be stored; with `links` False such entries and links are left out.
    """
    yield from _walk(Path(os.path.realpath(directory)), directory, "", links)


def _walk(base: Path, directory: Path, prefix: str, links: bool) -> Iterator[tuple[str, Path, int | None]]:
    entries = sorted(os.scandir(directory), key=_sort_key)
    for entry in entries:
        name, path = prefix + entry.name, Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            empty = True
            for entry_below in _walk(base, path, f"{name}/", links):
                empty = False
                yield entry_below
            if empty:
                yield name, path, None
            continue
        if links or entry.is_file(follow_symlinks=False):
            yield name, *_file(base, path)


def _sort_key(entry: os.DirEntry[str]) -> bytes:
    """Sorts like object stores do, by whole keys, in which a slash follows the name of a directory."""
    return os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")


def _file(base: Path, path: Path) -> tuple[Path, int]:
    real = Path(os.path.realpath(path))
    if base not in real.parents:
        raise ContentError(f"{path}: it is a link that leads out of {base}; put the file itself there")
    try:
        status = real.stat()
    except OSError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ContentError(f"{path}: it is neither a file nor a directory, or a link to a directory")
    return real, status.st_size
