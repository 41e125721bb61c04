"""The release before this one, run from its sources with this environment's packages.

Invariant: which one it is stands in tests/upgrade/previous, a commit that the clone must have.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = ROOT / "tests" / "upgrade" / "previous"


def previous_release(directory: Path) -> Path:
    """Its sources, unpacked. Raises RuntimeError that says what is missing and how to get it."""
    commit = PREVIOUS.read_text().strip()
    done = subprocess.run(["git", "archive", "--format=tar", commit], cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"the previous release is not in this clone: commit {commit}, named by {PREVIOUS.relative_to(ROOT)}. "
            f"A shallow clone gets it with `git fetch --unshallow` or `git fetch origin {commit}`. "
            f"git says: {done.stderr.decode().strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


def environment_of(tree: Path) -> dict[str, str]:
    """In which Python finds the packages of these sources first. Raises RuntimeError when it does not."""
    path = os.pathsep.join(str(tree / part) for part in ("server", "executor", "clients/python"))
    environment = {**os.environ, "PYTHONPATH": path}
    for module in ("penstock_server", "penstock_executor", "penstock_ir", "penstock_api"):
        code = f"import importlib.util; print(importlib.util.find_spec({module!r}).origin)"
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, text=True, check=True
        ).stdout
        if not found.startswith(str(tree)):
            raise RuntimeError(f"{module} comes from {found.strip()}, not from {tree}")
    return environment
