"""The embedded Penstock: from `up` to the end of a run, CPU and wall per task beside `kfp.local`, memory when idle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import uv
import yaml
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.bench.result import Row, at_least, at_most
from tools.embedded import Embedded
from tools.testing import runs

HERE = Path(__file__).parent
SIZES = {"chain": 20, "fan_out": 100}
_ROUNDS = 3


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        directory = Path(name)
        specs = _compiled(directory)
        data = directory / "data"
        rows: list[Row] = []
        with Embedded(data) as up:
            rows += _idle(up)
            with Client(up.grpc) as client:
                _timed(up, client, specs["single"])
                for shape, tasks in SIZES.items():
                    rows += _beside_peer(up, client, specs[shape], shape, tasks, directory)
        rows.append(at_most("up -> first run finished", _first_run(data, specs["single"]), "s", 3))
        return rows


def _beside_peer(
    up: Embedded, client: Client, spec: dict[str, Any], shape: str, tasks: int, directory: Path
) -> list[Row]:
    _timed(up, client, spec)
    ours = [_timed(up, client, spec) for _ in range(_ROUNDS)]
    cpu = median(one[0] for one in ours) / tasks * 1000
    wall = median(one[1] for one in ours) / tasks * 1000
    peer = _peer(shape, directory / "peer")
    peer_cpu, peer_wall = peer["cpu"] / tasks * 1000, peer["wall"] / tasks * 1000
    label = f"{shape.replace('_', '-')} of {tasks}"
    return [
        at_most(f"{label}: CPU per task", cpu, "ms", 30),
        Row(f"{label}: CPU per task, kfp.local", peer_cpu, "ms"),
        at_least(f"{label}: CPU, kfp.local / Penstock", peer_cpu / cpu, "×", 20),
        Row(f"{label}: wall per task", wall, "ms"),
        Row(f"{label}: wall per task, kfp.local", peer_wall, "ms"),
    ]


def _timed(up: Embedded, client: Client, spec: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of all processes below `up`, and wall seconds, of one run."""
    before, started = _cpu(up), time.perf_counter()
    run = runs.over(client, runs.start(client, spec))
    seconds = time.perf_counter() - started
    assert run.state == run_pb2.SUCCEEDED, run.error
    # The last process is reaped and its time accounted a moment after it ended.
    time.sleep(0.2)
    return _cpu(up) - before, seconds


def _cpu(up: Embedded) -> float:
    """Seconds of the whole tree, tasks that have ended included (their fork server waited for them)."""
    return sum(sum(one.cpu_times()[:4]) for one in _tree(up))


def _tree(up: Embedded) -> list[psutil.Process]:
    assert up.process is not None
    root = psutil.Process(up.process.pid)
    return [root, *root.children(recursive=True)]


def _idle(up: Embedded) -> list[Row]:
    time.sleep(3)
    before, started = _cpu(up), time.perf_counter()
    time.sleep(10)
    share = (_cpu(up) - before) / (time.perf_counter() - started) * 100
    memory = sum(one.memory_info().rss for one in _tree(up)) / 2**20
    return [
        at_most("idle: memory of the process tree", memory, "MiB", 250),
        at_most("idle: CPU", share, "% of a core", 1),
    ]


def _first_run(data: Path, spec: dict[str, Any]) -> float:
    """Median of several starts, environments warm."""
    found = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        with Embedded(data) as up, Client(up.grpc) as client:
            run = runs.finished(client, runs.start(client, spec))
            found.append(time.perf_counter() - started)
            assert run.state == run_pb2.SUCCEEDED
    return median(found)


def _peer(shape: str, root: Path) -> dict[str, float]:
    python = peer_environment()
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(python), str(HERE / "peer.py"), shape, str(root)]
    done = subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"kfp.local failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    return result


def peer_environment() -> Path:
    """An environment with kfp and pip, as a user of `kfp.local` has it."""
    target = Path("build/bench-peer").absolute()
    python = target / "bin" / "python"
    if not (target / "complete").exists():
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", str(target)], check=True)
        command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python", str(python), "kfp==2.17.0"]
        subprocess.run(command, check=True)
        (target / "complete").touch()
    return python


def _compiled(directory: Path) -> dict[str, dict[str, Any]]:
    """The benchmark pipelines without caching, so that every run executes its tasks."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pipelines; from kfp import compiler\n"
        "for name in ('chain', 'fan_out', 'single'):\n"
        "    compiler.Compiler().compile(getattr(pipelines, name), f'{sys.argv[2]}/{name}.yaml')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(HERE), str(directory)], check=True)
    found = {}
    for name in ("chain", "fan_out", "single"):
        spec = yaml.safe_load((directory / f"{name}.yaml").read_text())
        for task in spec["root"]["dag"]["tasks"].values():
            task.pop("cachingOptions", None)
        found[name] = spec
    return found
