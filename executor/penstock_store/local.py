"""The local side of a transfer: files that appear whole, names that stay inside, trees that are walked.

Invariants: nothing is written outside the directory that was asked for; nothing is read through a link that leads out
of the one that is stored, since who moves files may read more than who wrote them.
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
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside `target` that takes its place when the block ends well. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".part-{secrets.token_hex(8)}"
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def inside(directory: Path, name: str) -> Path:
    """The path of an object called `name` under `directory`. Raises ArtifactStoreError for names that climb."""
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments or "\0" in name or not segments:
        raise ArtifactStoreError(f"object {name!r}: its name leads out of the directory it belongs in")
    return directory.joinpath(*segments)


def lies_there(source: Path) -> bool:
    """Whether there is something to be stored. Raises ContentError for what cannot be."""
    try:
        if not source.exists():
            return False
    except OSError as error:
        raise ContentError(f"{source} cannot be looked at: {error.strerror or error}") from error
    if not source.is_dir():
        check_file(source)
    return True


def check_file(path: Path) -> None:
    """Raises ContentError for what is no file, or none that we may read; OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ContentError(f"{path}: it is neither a file nor a directory")
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error


def tree(directory: Path, *, links: bool = True) -> Iterator[tuple[str, Path, int | None]]:
    """Name, path and size of what is in a directory, in order of names; size None of a directory that is empty.

    Raises ContentError for what cannot be stored; with `links` False that is left out, and so are links.
    """
    yield from _below(Path(os.path.realpath(directory)), directory, "", links)


def _below(base: Path, directory: Path, prefix: str, links: bool) -> Iterator[tuple[str, Path, int | None]]:
    entries = sorted(os.scandir(directory), key=_key)
    for entry in entries:
        name, path = prefix + entry.name, Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            empty = True
            for found in _below(base, path, f"{name}/", links):
                empty = False
                yield found
            if empty:
                yield name, path, None
            continue
        if links or entry.is_file(follow_symlinks=False):
            yield name, *_file(base, path)


def _key(entry: os.DirEntry[str]) -> bytes:
    """Objects are in the order of whole keys, in which a directory's name goes on with a slash."""
    return os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")


def _file(base: Path, path: Path) -> tuple[Path, int]:
    real = Path(os.path.realpath(path))
    if base not in real.parents:
        raise ContentError(f"{path}: it is a link that leads out of {base}; put the file itself there")
    try:
        found = real.stat()
    except OSError as error:
        raise ContentError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ContentError(f"{path}: it is neither a file nor a directory, or a link to a directory")
    return real, found.st_size
