"""Programs of Go modules that tools and tests use, built once into build/bin.

Invariants: only `tools.programs` builds; the Go compiler is the one of the development environment; a file's name
carries its version, so a newer one is built beside it; a program is installed atomically, also when two processes build
it at the same time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_BIN = Path(__file__).resolve().parents[1] / "build" / "bin"


def go_program(package: str) -> Path:
    """The program of `path@version`. Raises RuntimeError when it has not been built."""
    program = _place(package)
    if not program.exists():
        raise RuntimeError(f"{program.name} is not in build/bin; `make test-programs` builds it")
    return program


def module_directory(package: str) -> Path:
    """Where the source of the module is whose program was built; it is read-only. Raises CalledProcessError."""
    path, _, version = package.partition("@")
    command = [_go(), "mod", "download", "-json", f"{path.partition('/cmd/')[0]}@{version}"]
    found = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "GOFLAGS": "-mod=mod"})
    return Path(json.loads(found.stdout)["Dir"])


def build(package: str) -> None:
    """Unless it is there. Raises CalledProcessError."""
    program = _place(package)
    if program.exists():
        return
    _BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_BIN, prefix=".building-") as elsewhere:
        # cgo would want a C compiler, which is not everywhere.
        environment = {**os.environ, "GOBIN": elsewhere, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
        subprocess.run([_go(), "install", package], check=True, env=environment)
        (Path(elsewhere) / _name(package)).replace(program)


def _go() -> str:
    return str(Path(sys.executable).with_name("go"))


def _place(package: str) -> Path:
    return _BIN / f"{_name(package)}-{package.rpartition('@')[2]}"


def _name(package: str) -> str:
    """As go names it: a last element that is a major version does not count."""
    return re.sub(r"/v[0-9]+$", "", package.partition("@")[0]).rsplit("/", 1)[-1]
