"""Measures what others notice while somebody floods a server: `python -m tools.bench.flood`, about two minutes.

A `penstock up` of its own is attacked in one way after the other (`attacks`), from a process of its own and from the
address that the others have too, which is the harder case. Meanwhile a bystander asks for health and for lists over
both ports, on new connections over HTTP, and for the plan of a small pipeline, and a task runs, so that an executor
has a lease to keep. What it notices is set beside what it noticed right before the attack.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import grpc
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from rich.console import Console
from rich.table import Table

from tools.bench.attacks import ATTACKS, Target
from tools.embedded import Embedded
from tools.testing import runs, specs

_PAUSE_SECONDS = 0.02
_PLAN = "/penstock.v1.InsightService/PlanPipeline"
_LIST = "/kubeflow.pipelines.backend.api.v2beta1.RunService/ListRuns"


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the bystander noticed of one kind of call during one attack; times in milliseconds."""

    attack: str
    call: str
    calls: int
    failed: int
    p50: float
    p99: float
    longest: float
    times_as_long: float = 1.0
    """The 99th percentile, as a multiple of the one without an attack."""


class Bystander:
    """Calls one after the other, on a thread for each kind."""

    def __init__(self, target: Target) -> None:
        self._channel = grpc.insecure_channel(target.grpc)
        listing: Any = self._channel.unary_unary(_LIST, bytes, bytes)
        plan: Any = self._channel.unary_unary(_PLAN, bytes, bytes)
        small = insight_pb2.PlanPipelineRequest(pipeline_spec=_struct(specs.container(["true"]))).SerializeToString()
        health = health_pb2_grpc.HealthStub(self._channel)
        self.calls: dict[str, Callable[[], object]] = {
            "GET /livez": lambda: _get(f"http://{target.http}/livez"),
            "GET /readyz": lambda: _get(f"http://{target.http}/readyz"),
            "Health/Check": lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=10),
            "GET runs": lambda: _get(f"http://{target.http}/apis/v2beta1/runs"),
            "ListRuns": lambda: listing(b"", timeout=10),
            "PlanPipeline": lambda: plan(small, timeout=10),
        }

    def watch(self, attack: str, seconds: float) -> list[Noticed]:
        """What it notices within so many seconds."""
        found: list[Noticed] = []
        threads = [
            threading.Thread(target=lambda name=name, call=call: found.append(_timed(attack, name, call, seconds)))
            for name, call in self.calls.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(found, key=lambda one: list(self.calls).index(one.call))

    def close(self) -> None:
        self._channel.close()


def _struct(document: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(document)
    return message


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as reply:
        content: bytes = reply.read()
        return content


def _timed(attack: str, name: str, call: Callable[[], object], seconds: float) -> Noticed:
    took, failed, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        try:
            call()
        except (OSError, grpc.RpcError):
            failed += 1
        took.append((time.perf_counter() - begin) * 1000)
        time.sleep(_PAUSE_SECONDS)
    took.sort()
    return Noticed(
        attack, name, len(took), failed, statistics.median(took), took[int(len(took) * 0.99) - 1], took[-1]
    )  # fmt: skip


def measure(embedded: Embedded, seconds: float, attacks: list[str]) -> list[Noticed]:
    """What is noticed without an attack, and during each. Raises AssertionError for a run that was lost."""
    target = Target(embedded.http.removeprefix("http://"), embedded.grpc)
    bystander = Bystander(target)
    with Client(embedded.grpc) as client:
        length = (2 * seconds + 4) * (len(attacks) + 1)
        run_id = runs.start(client, specs.container(["sleep", str(round(length))]))
        runs.until(lambda: runs.get(client, run_id), lambda run: run.state == run_pb2.RUNNING)
        bystander.watch("none", 1)
        rows: list[Noticed] = []
        context = multiprocessing.get_context("spawn")
        for name in attacks:
            # Right before each, because what else the machine does changes all the time.
            rows += (quiet := bystander.watch("none", seconds))
            before = {row.call: row.p99 for row in quiet}
            under_way, stop = context.Event(), context.Event()
            attacker = context.Process(target=ATTACKS[name], args=(target, under_way, stop), daemon=True)
            attacker.start()
            assert under_way.wait(120), "the attack did not begin"
            for row in bystander.watch(name, seconds):
                rows.append(Noticed(**{**asdict(row), "times_as_long": row.p99 / before[row.call]}))
            stop.set()
            attacker.join(10)
            attacker.kill()
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED, "the executor lost its run"
    bystander.close()
    return rows


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=click.Choice(list(ATTACKS)), help="Only this attack; may be repeated.")
@click.option("--seconds", default=4.0, show_default=True, help="How long each is watched.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/flood.json"), show_default=True)
def main(only: tuple[str, ...], seconds: float, report: Path) -> None:
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "data") as embedded:
        rows = measure(embedded, seconds, list(only or ATTACKS))
    table = Table("attack", "call", "calls", "failed", "p50 ms", "p99 ms", "longest ms", "p99, times", box=None)
    for row in rows:
        figures = (f"{row.p50:.1f}", f"{row.p99:.1f}", f"{row.longest:.1f}", f"{row.times_as_long:.1f}")
        table.add_row(row.attack, row.call, str(row.calls), str(row.failed), *figures)
    Console(width=120).print(table)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
