"""Installs Debian packages for programs that tests need and that are missing.

Invariants: existing programs are not changed; concurrent installations wait for each other.
"""

from __future__ import annotations

import shutil
import subprocess

_LOCK_SECONDS = 300


def ensure(program: str, package: str) -> None:
    """Raises RuntimeError with what the installer said."""
    if shutil.which(program) is None:
        install(package)


def install(package: str) -> None:
    """Raises RuntimeError with what the installer said."""
    _apt("update", "-qq")
    _apt("install", "-y", "-qq", package)


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-o", f"DPkg::Lock::Timeout={_LOCK_SECONDS}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
