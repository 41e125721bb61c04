"""The cost of giving a task its own inputs, 1 GB and 50,000 files: through a file system view, and as copies.

The figures are those of whole runs of an importer and a task that looks at its input; what a large input costs is the
difference to one of a few bytes. Copies are measured with tasks that work below the artifact root, where there can be
no view.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.result import Row, at_most
from tools.embedded import Embedded
from tools.testing import runs, specs

_ROUNDS = 5
_GIGABYTE = 10**9
_FILES = 50_000


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        directory = Path(name)
        inputs = _inputs(directory / "inputs")
        seen = _seconds(directory / "seen", inputs, below_root=False)
        copied = _seconds(directory / "copied", inputs, below_root=True)
        rows = [Row("run with an input of a few bytes", seen["small"] * 1000, "ms")]
        for kind in ("1 GB", "50,000 files"):
            rows.append(at_most(f"{kind}, seen: more than that", (seen[kind] - seen["small"]) * 1000, "ms", 50))
            rows.append(Row(f"{kind}, copied: more than that", (copied[kind] - copied["small"]) * 1000, "ms"))
        return rows


def _seconds(data: Path, inputs: Mapping[str, Path], *, below_root: bool) -> dict[str, float]:
    options = ["--artifacts", str(data)] if below_root else []
    found: dict[str, list[float]] = {kind: [] for kind in inputs}
    with Embedded(data, *options) as up, Client(up.grpc) as client:
        _run(client, inputs["small"])
        for _ in range(_ROUNDS):
            for kind, path in inputs.items():
                found[kind].append(_run(client, path))
    return {kind: median(seconds) for kind, seconds in found.items()}


def _run(client: Client, path: Path) -> float:
    started = time.perf_counter()
    run = runs.finished(client, runs.start(client, _imported(path)))
    assert run.state == run_pb2.SUCCEEDED, run.error
    return time.perf_counter() - started


def _imported(path: Path) -> dict[str, Any]:
    return specs.imported(path.as_uri(), ["sh", "-c", 'test -e "$0"', "{{$.inputs.artifacts['given'].path}}"])


def _inputs(directory: Path) -> dict[str, Path]:
    directory.mkdir()
    small, large, many = directory / "small", directory / "large", directory / "many"
    small.write_text("a few bytes")
    block = bytes(range(256)) * 4096
    with large.open("wb") as out:
        for _ in range(_GIGABYTE // len(block)):
            out.write(block)
    for number in range(_FILES):
        file = many / str(number // 1000) / str(number)
        if number % 1000 == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
    return {"small": small, "1 GB": large, "50,000 files": many}
