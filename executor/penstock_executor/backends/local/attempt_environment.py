"""A Python environment for one attempt, laid over the cached one with its packages.

Why: what a task installs must be there for that task alone, and a copy of thousands of files would cost more than most
tasks. So an attempt has a virtual environment that holds nothing, and finds the cached packages and pip behind its own
site-packages: what it installs comes first, what it does not change costs nothing.

Invariants: making one takes a dozen entries in directories, whatever the cached environment holds; nothing that works
through `python`, `pip` or a script on the PATH of the attempt writes into a cached environment, since these run in the
attempt's Python and pip never removes what lies outside its own.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

PYTHON_VARIABLE = "PENSTOCK_TASK_PYTHON"
_LAYERS = "penstock_layers.pth"
_LAYER = "import site, sys; sys.prefix != sys.base_prefix and site.addsitedir({path!r})\n"


class _Kind(Enum):
    DIRECTORY = "directory"
    LINK = "link"
    FILE = "file"
    SCRIPT = "script"


_MODES = {_Kind.FILE: 0o644, _Kind.SCRIPT: 0o755}
# Runs in the Python beside it, wherever the environment is moved and whatever becomes of the variables.
_PIP = """#!/bin/sh
'''exec' "$(dirname -- "$0")/python" "$0" "$@"
' '''
import sys
from pip._internal.cli.main import main

sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class _Python:
    """The interpreter of a cached environment: what its `bin/python` leads to, and its `pyvenv.cfg`."""

    executable: str
    configuration: str
    version: str


@dataclass(frozen=True, slots=True)
class AttemptEnvironment:
    """`packages` is its own site-packages; `layers` are the cached ones behind it, in the order they are searched."""

    path: Path
    python: Path
    packages: Path
    layers: tuple[Path, ...]
    scripts: tuple[Path, ...]

    def variables(self) -> Mapping[str, str]:
        return {
            "VIRTUAL_ENV": str(self.path),
            PYTHON_VARIABLE: str(self.python),
            # An environment that the task makes with --system-site-packages looks there, and so finds these packages.
            "PYTHONUSERBASE": str(self.path),
        }

    def message(self) -> Mapping[str, object]:
        """As the fork server takes it."""
        return {
            "path": str(self.path),
            "python": str(self.python),
            "packages": str(self.packages),
            "layers": [str(layer) for layer in self.layers],
        }

    def search_path(self, path: str) -> str:
        """PATH with the scripts of this environment before those of `path`."""
        return os.pathsep.join([str(self.path / "bin"), *map(str, self.scripts), path])


def described(path: Path, cached: Path, seed: Path) -> AttemptEnvironment:
    """The environment at `path`, which is made or is going to be. Raises OSError."""
    layers, scripts = _layers(cached, seed)
    packages = path / "lib" / _python(seed).version / "site-packages"
    return AttemptEnvironment(path, path / "bin" / "python", packages, layers, scripts)


def make(path: Path, cached: Path, seed: Path) -> AttemptEnvironment:
    """Makes the environment at `path`, over `cached` and over `seed`, which has pip.

    Doing it again changes nothing. Raises OSError.
    """
    path.mkdir(exist_ok=True)
    for name, (kind, content) in _entries(cached, seed).items():
        entry = path / name
        if kind is _Kind.DIRECTORY:
            entry.mkdir(exist_ok=True)
        elif kind is _Kind.LINK:
            with contextlib.suppress(FileExistsError):
                entry.symlink_to(content)
        else:
            entry.write_text(content)
            entry.chmod(_MODES[kind])
    return described(path, cached, seed)


def is_untouched(path: Path, cached: Path, seed: Path) -> bool:
    """Whether the environment is as it was made: nothing is in it besides, and all that is in it is what it was."""
    # Looked at twice for every task, so by names alone: paths as objects cost three times as much.
    entries = _entries(cached, seed)
    seen = 0
    try:
        for directory in _directories(cached, seed):
            with os.scandir(f"{path}/{directory}") as found:
                for entry in found:
                    as_made = entries.get(f"{directory}{entry.name}")
                    if as_made is None or not _is_as_made(entry, *as_made):
                        return False
                    seen += 1
    except OSError:
        return False
    return seen == len(entries)


@lru_cache(maxsize=1024)
def _directories(cached: Path, seed: Path) -> tuple[str, ...]:
    """Those in an environment, it itself first, as what a name in them begins with."""
    return ("", *(f"{name}/" for name, (kind, _) in _entries(cached, seed).items() if kind is _Kind.DIRECTORY))


def _is_as_made(entry: os.DirEntry[str], kind: _Kind, content: str) -> bool:
    """Raises OSError."""
    if kind is _Kind.LINK:
        return entry.is_symlink() and os.readlink(entry.path) == content  # noqa: PTH115 - as above
    found = entry.stat(follow_symlinks=False)
    mode = stat.S_IMODE(found.st_mode)
    if kind is _Kind.DIRECTORY:
        return stat.S_ISDIR(found.st_mode) and mode & 0o700 == 0o700
    # Not more than it had is read, and nothing but a file: a pipe in its place would hold us for ever.
    whole = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size == len(content.encode())
    return whole and mode & 0o700 == _MODES[kind] & 0o700 and _content(entry.path, found.st_size) == content.encode()


def _content(file: str, size: int) -> bytes:
    """Raises OSError."""
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(opened, size + 1)
    finally:
        os.close(opened)


@lru_cache(maxsize=1024)
def site_packages(environment: Path) -> Path:
    """Where a virtual environment keeps its packages. Raises OSError."""
    for found in sorted((environment / "lib").glob("python*/site-packages")):
        return found
    raise FileNotFoundError(f"{environment} is no Python environment")


def share_scripts(environment: Path) -> None:
    """Makes the scripts of a cached environment run in the Python of the attempt that calls them. Raises OSError."""
    header = f"#!/bin/sh\n'''exec' \"${{{PYTHON_VARIABLE}:?}}\" \"$0\" \"$@\"\n' '''\n"
    own = f"#!{environment / 'bin' / 'python'}".encode()
    for script in (environment / "bin").glob("*"):
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if content.startswith(own):
            body = content.split(b"\n", 1)[-1]
        elif content.startswith(b"#!/bin/sh\n'''exec' "):
            body = content.split(b"\n", 3)[-1]
        else:
            continue
        part = script.with_name(f".{script.name}.part")
        part.write_bytes(header.encode() + body)
        part.chmod(0o755)
        part.replace(script)


@lru_cache(maxsize=64)
def _python(environment: Path) -> _Python:
    link = environment / "bin" / "python"
    executable = link
    # Links inside the environment name each other; the first that leads out is the interpreter.
    while executable.is_symlink() and executable.parent == link.parent:
        executable = executable.parent / executable.readlink()
    configuration = (environment / "pyvenv.cfg").read_text()
    return _Python(str(executable), configuration, site_packages(environment).parent.name)


@lru_cache(maxsize=1024)
def _layers(cached: Path, seed: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    environments = tuple(dict.fromkeys((cached, seed)))
    return tuple(map(site_packages, environments)), tuple(one / "bin" for one in environments)


@lru_cache(maxsize=1024)
def _entries(cached: Path, seed: Path) -> Mapping[str, tuple[_Kind, str]]:
    """What is in an environment, by its path there and in the order in which it is made."""
    python = _python(seed)
    # Not as plain lines: packages bring .pth files of their own.
    # And for no other Python that takes this for its user's packages: its pip would remove what is cached.
    lines = "".join(_LAYER.format(path=str(layer)) for layer in _layers(cached, seed)[0])
    packages = f"lib/{python.version}/site-packages"
    return {
        **dict.fromkeys(("bin", "lib", f"lib/{python.version}", packages), (_Kind.DIRECTORY, "")),
        "lib64": (_Kind.LINK, "lib"),
        "bin/python": (_Kind.LINK, python.executable),
        **dict.fromkeys(("bin/python3", f"bin/{python.version}"), (_Kind.LINK, "python")),
        "bin/pip": (_Kind.SCRIPT, _PIP),
        **dict.fromkeys(("bin/pip3", f"bin/{python.version.replace('python', 'pip')}"), (_Kind.LINK, "pip")),
        "pyvenv.cfg": (_Kind.FILE, python.configuration),
        f"{packages}/{_LAYERS}": (_Kind.FILE, lines),
    }
