"""The simulation notices a broken engine: every patch under mutants/ must be caught within a thousand seeds.

Each mutant runs in a process of its own on patched copies of executor and server, so nothing of it stays behind. A
patch that does not apply any more fails its test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
SEEDS = 1000


def test_there_are_at_least_ten() -> None:
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("patch", MUTANTS, ids=lambda path: path.stem)
def test_mutants_are_caught(patch: Path, tmp_path: Path) -> None:
    programs = ("executor", "server")
    for program in programs:
        ignored = shutil.ignore_patterns("__pycache__", "ui_bundle")
        shutil.copytree(ROOT / program, tmp_path / program, ignore=ignored)
    subprocess.run(["git", "apply", str(patch)], cwd=tmp_path, check=True, env={**os.environ, "GIT_DIR": "/dev/null"})
    done = subprocess.run(
        [sys.executable, "-m", "tools.simulate", "--seeds", str(SEEDS), "--processes", "1", "--until-failure"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(tmp_path / one) for one in programs),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" in done.stdout, f"not caught within {SEEDS} seeds: {done.stdout}{done.stderr}"
    assert done.returncode == 1
    assert f"engine of {tmp_path}" in done.stdout, "the patched engine was not the one that ran"
