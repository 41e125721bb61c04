"""Programs of Debian's packages that tests and tools start.

Invariants: the caller gets a program's path or an error that says how to install it; only `tools.programs` installs;
concurrent installations wait for each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# Package by program; a path where only the system's own program will do.
PACKAGES = {
    "/bin/busybox": "busybox-static",
    "/usr/bin/python3": "python3",
    "chromium": "chromium",
    "curl": "curl",
    "gcc": "build-essential",
    "initdb": "postgresql",
    "jq": "jq",
    "mariadbd": "mariadb-server",
    "podman": "podman",
    "runc": "runc",
}
_POSTGRESQL = Path("/usr/lib/postgresql")
_LOCK_SECONDS = 300


def require(program: str) -> Path:
    """Where it is. Raises RuntimeError when it is not there."""
    found = _find(program)
    if found is None:
        raise RuntimeError(f"{program} is not installed; `make test-programs` installs it on Debian")
    return found


def install(programs: Sequence[str]) -> None:
    """What is missing of these. Raises RuntimeError: with what the installer said, or where this cannot install."""
    missing = [program for program in programs if _find(program) is None]
    packages = sorted({PACKAGES[program] for program in missing})
    if not packages:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise RuntimeError(
            f"not installed: {', '.join(missing)}. Only root on Debian gets them from here "
            f"(apt-get install {' '.join(packages)}); elsewhere install them yourself"
        )
    _apt("update", "-qq")
    _apt("install", "-y", "-qq", *packages)


def _find(program: str) -> Path | None:
    # Debian puts no server of PostgreSQL on the path; of several versions the newest is meant.
    versions = sorted(_POSTGRESQL.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *map(str, versions)]))
    return Path(found) if found else None


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={_LOCK_SECONDS}", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
