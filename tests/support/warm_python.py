"""A warm worker whose first process is the Python of these tests, with the SDK imported (docs/workers.md)."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.build_wrapper import SOURCES

MODULE = "kfp.dsl.executor_main"
RUNTIME = "_KFP_RUNTIME=true"


def first_process(worker: Path) -> list[str]:
    """What it is started with, without the options of any worker."""
    return [
        sys.executable, str(SOURCES / "first_process.py"), "--worker", str(worker),
        "--module", MODULE, "--variable", RUNTIME,
    ]  # fmt: skip
