"""Builds the programs in C that run a task's command, for every architecture: in its Pod the wrapper
(executor/penstock_executor/agent/run.c) and the first process of a warm worker (worker.c), on this machine what becomes
the command (executor/penstock_executor/backends/local/begin.c).

Invariants: the compiler is the one that pyproject.toml pins and nothing of this machine gets into the result, so equal
sources give equal bytes wherever it runs. `--check` writes nothing and fails when what is committed differs.

Example: python tools/build_wrapper.py --check
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "executor" / "penstock_executor" / "agent"
LOCAL = ROOT / "executor" / "penstock_executor" / "backends" / "local"
PROGRAMS = (AGENT / "run.c", AGENT / "worker.c", LOCAL / "begin.c")
TARGETS = {"amd64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl"}
FLAGS = ("-std=c11", "-Os", "-g0", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = {
            source.parent / "bin" / f"{source.stem}-{machine}": build(source, target, Path(scratch) / source.stem)
            for source in PROGRAMS
            for machine, target in TARGETS.items()
        }
    if not arguments.check:
        for path, data in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755)
        return 0
    stale = [path for path, data in made.items() if not is_same(path, data)]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not what its source gives", file=sys.stderr)
    if stale:
        print("run `make generate` and commit the result", file=sys.stderr)
        return 1
    print("the binaries of tasks are what their sources give")
    return 0


def build(source: Path, target: str, output: Path) -> bytes:
    # The compiler builds the libc of a target once and keeps it here.
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(ROOT / "build" / "zig")}
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS, "-o", str(output), source.name],
        cwd=source.parent, env=environment, check=True,
    )  # fmt: skip
    return output.read_bytes()


def is_same(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


if __name__ == "__main__":
    sys.exit(main())
