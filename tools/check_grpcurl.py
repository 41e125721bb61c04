"""Runs every command of docs/grpcurl.md with a real grpcurl against a live server, knowing nothing but its address.

Example: python -m tools.check_grpcurl build/bin/grpcurl
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import debian
from tools.embedded import Embedded

ROOT = Path(__file__).resolve().parent.parent
COOKBOOK = ROOT / "docs" / "grpcurl.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    program = Path(sys.argv[1]).resolve()
    debian.require("jq")
    # A command that fails ends the script and is its last line traced.
    script = "set -eux -o pipefail\n" + "\n".join(_BLOCK.findall(COOKBOOK.read_text()))
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "data") as up:
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env={**os.environ, "PATH": path, "SERVER": up.grpc},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        )  # fmt: skip
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        return 1
    for wanted in ("ml_metadata.MetadataStoreService", "rpc CreateRun", '"SERVING"', "write\tSUCCEEDED", "file://"):
        if wanted not in done.stdout:
            print(f"{wanted!r} is not in what the commands printed:\n{done.stdout}", file=sys.stderr)
            return 1
    print(f"{script.count('call ') - 1} commands of the cookbook run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
