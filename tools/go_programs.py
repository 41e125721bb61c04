"""Programs of Go modules that tools and tests use, built once into build/bin.

Invariants: the Go compiler is the one of the development environment; a file's name carries its version, so a newer one
is built beside it; a program is installed atomically, also when two processes build it at the same time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_BIN = Path(__file__).resolve().parents[1] / "build" / "bin"


def go_program(package: str, *, name: str = "") -> Path:
    """The program of `path@version`, as `name` when its path ends with none. Raises CalledProcessError."""
    path, version = package.split("@")
    # As go names it: a last element that is a major version does not count.
    built = re.sub(r"/v[0-9]+$", "", path).rsplit("/", 1)[-1]
    program = _BIN / f"{name or built}-{version}"
    if not program.exists():
        _BIN.mkdir(parents=True, exist_ok=True)
        go = str(Path(sys.executable).with_name("go"))
        with tempfile.TemporaryDirectory(dir=_BIN, prefix=".building-") as elsewhere:
            # cgo would want a C compiler, which is not everywhere.
            environment = {**os.environ, "GOBIN": elsewhere, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
            subprocess.run([go, "install", package], check=True, env=environment)
            (Path(elsewhere) / built).replace(program)
    return program
