"""Our own pipelines, compiled by the SDK, through a server of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_own_pipelines(tmp_path: Path, environments: Path) -> None:
    (data := tmp_path / "data").mkdir()
    (data / "environments").symlink_to(environments)
    command = [sys.executable, "-m", "tools.conformance", "--corpus", "tests/pipelines", "--data-dir", str(data)]
    done = subprocess.run(
        [*command, "--report", str(tmp_path / "report.json")], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "74 passed, 0 failed"


def test_a_directory_without_an_index_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.conformance", "--corpus", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "index.json" in done.stderr
