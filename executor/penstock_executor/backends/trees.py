"""Removes directory trees that tasks made.

Invariants: no link is followed, neither in a tree nor in a path that leads to it; directories that nobody may enter are
opened up; depth costs neither stack, nor open files, nor long paths: what lies deeper is moved up before it is removed.
What cannot be removed stays, without an error.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def remove_tree(path: Path, below: Path | None = None) -> None:
    """Removes what is at `path`; a link there is removed itself.

    `below` is a directory above `path` that is trusted: no link is followed on the way from there, and when one lies
    on it nothing is removed. Unless it is given, all of the path but its last part is trusted.
    """
    remove_trees(path.parent, (path.name,), below)


def remove_trees(parent: Path, names: Iterable[str], below: Path | None = None) -> None:
    """Removes what has these names in `parent`, as `remove_tree` does each."""
    trusted = below or parent
    with contextlib.suppress(OSError):
        directory = os.open(trusted, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for part in parent.relative_to(trusted).parts:
                inner = _opened(part, directory)
                os.close(directory)
                directory = inner
            for name in names:
                with contextlib.suppress(OSError):
                    _remove(name, directory)
        finally:
            os.close(directory)


def _remove(name: str, parent: int) -> None:
    """Raises OSError."""
    # Most are gone or empty, as those of a task that wrote nothing: one call instead of eight.
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(name, dir_fd=parent)
        return
    except OSError:
        pass
    else:
        return
    top = _opened(name, parent)
    try:
        while _remove_two_levels(top):
            pass
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _remove_two_levels(top: int) -> bool:
    """Of a directory's content the files, and those of its directories; what these hold moves up. Whether something was
    removed and something is left, so that it is worth another time."""
    removed = left = False
    for name in os.listdir(top):
        try:
            os.unlink(name, dir_fd=top)
            removed = True
            continue
        except OSError:
            pass
        try:
            inner = _opened(name, top)
        except OSError:
            continue
        try:
            left = _empty(inner, top) or left
        finally:
            os.close(inner)
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=top)
            removed = True
    return removed and left


def _empty(inner: int, top: int) -> bool:
    """Removes the files of the directory `inner` and moves its directories to `top`. Whether it moved some."""
    moved = False
    for name in os.listdir(inner):
        try:
            os.unlink(name, dir_fd=inner)
            continue
        except OSError:
            pass
        with contextlib.suppress(OSError):
            # Its link to the directory above changes, which takes the right to write in it.
            os.close(_opened(name, inner))
            os.rename(name, f".removed-{secrets.token_hex(8)}", src_dir_fd=inner, dst_dir_fd=top)
            moved = True
    return moved


def _opened(name: str, parent: int) -> int:
    """A directory, to which its owner, as we are, has all rights afterwards. Raises OSError."""
    try:
        opened = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _permit(name, parent)
        opened = os.open(name, _DIRECTORY, dir_fd=parent)
    with contextlib.suppress(OSError):
        status = os.fstat(opened)
        if status.st_mode & 0o700 != 0o700:
            os.fchmod(opened, stat.S_IMODE(status.st_mode) | 0o700)
    return opened


def _permit(name: str, parent: int) -> None:
    """Raises OSError."""
    if hasattr(os, "O_PATH"):
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            # Linux has no call that changes the rights of a name without following it.
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 - as all calls here
        finally:
            os.close(place)
    else:
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
