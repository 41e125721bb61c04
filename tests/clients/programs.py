"""Programs of the other languages, run where their client lies. Go and Node come with the development environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[2] / "clients"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
GO = CLIENTS / "go"
TYPESCRIPT = CLIENTS / "typescript"


def run(directory: Path, *arguments: str, **environment: str) -> str:
    """What it printed. Raises AssertionError with everything it said when it fails."""
    done = subprocess.run(
        arguments,
        cwd=directory,
        env={**os.environ, "PATH": PATH, **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout
