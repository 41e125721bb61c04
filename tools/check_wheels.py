"""Installs the built wheels with plain pip into a new environment and runs the demo's pipeline there.

Example: make build && python -m tools.check_wheels dist
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tools import embedded


def main() -> int:
    wheels = sorted(str(path) for path in Path(sys.argv[1]).glob("*.whl"))
    if len(wheels) != 2:
        raise RuntimeError(f"expected two wheels in {sys.argv[1]}, found {wheels}")
    pipeline = Path(__file__).resolve().parents[1] / "tests/pipelines/compiled/wine_quality.yaml"
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", str(directory / "venv")], check=True)
        binaries = directory / "venv" / "bin"
        pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wheels], check=True)
        embedded.PENSTOCK = str(binaries / "penstock")
        with embedded.Embedded(directory / "data") as up:
            command = [embedded.PENSTOCK, "run", str(pipeline), "--server", up.grpc, "--watch"]
            subprocess.run(command, check=True, timeout=300)
            # REST stands on protobuf's descriptors, and plain pip chooses another protobuf than development has.
            with urllib.request.urlopen(f"{up.http}/apis/v2beta1/runs?page_size=5", timeout=60) as reply:
                (run,) = json.load(reply)["runs"]
            if run["state"] != "SUCCEEDED":
                raise RuntimeError(f"over REST the run is {run}")
    print("wheels: installed with pip, the demo's pipeline succeeded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
