"""Shows Penstock at work on this machine, in about a minute.

Starts `penstock up`, submits a real pipeline (load, split, train three models in a loop, choose, evaluate) through the
unmodified kfp SDK from an environment of its own, shows tasks, artifacts and the lineage of the model chosen, and runs
it again: every task is answered from the cache. On a terminal the server stays up until Ctrl-C.

Example: make demo    or    python -m tools.demo --no-stay
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import uv
from penstock import render
from penstock.cli.run import follow
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_ir.task_rows import TaskKind, TaskState
from rich.console import Console

from tools.demo.lineage import Lineage
from tools.embedded import Embedded

ROOT = Path(__file__).resolve().parents[2]
SDK = "kfp==2.17.0"
console = Console(highlight=False)


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--directory", type=click.Path(path_type=Path), default=ROOT / ".demo", help="Data and environments.")
@click.option("--stay/--no-stay", default=None, help="Leave the server up until Ctrl-C; on a terminal unless told.")
def main(directory: Path, stay: bool | None) -> None:
    directory = directory.absolute()
    python = _sdk_environment(directory / "sdk")
    data = directory / "data"
    for name in ("artifacts", "work", "logs"):
        shutil.rmtree(data / name, ignore_errors=True)
    for file in data.glob("*.db*"):
        file.unlink()
    console.print("[bold]2/5[/bold] starting server and executor")
    with Embedded(data, "--parallelism", "4", *_addresses()) as server, Client(server.grpc) as client:
        console.print(f"      REST {server.http}   gRPC {server.grpc}")
        console.print("[bold]3/5[/bold] submitting tests/pipelines/wine_quality.py with the kfp SDK")
        first = _run(client, python, server.http)
        console.print("[bold]4/5[/bold] what it left")
        _show_artifacts(client, first, Lineage(server.grpc))
        console.print("[bold]5/5[/bold] the same again: every task answered from the cache")
        second = _run(client, python, server.http)
        _check_cached(client, second)
        _look_further(server, first, second)
        if stay if stay is not None else sys.stdout.isatty():
            console.print("\nPenstock stays up; Ctrl-C ends it.")
            signal.pause()


def _sdk_environment(target: Path) -> Path:
    python = target / "bin" / "python"
    console.print(f"[bold]1/5[/bold] an environment with {SDK} and nothing else")
    mark = target / "complete"
    if not mark.exists() or mark.read_text() != SDK:
        shutil.rmtree(target, ignore_errors=True)
        base = getattr(sys, "_base_executable", sys.executable)
        with console.status("installing"):
            subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", base, str(target)], check=True)
            command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python", str(python), SDK]
            subprocess.run(command, check=True)
        mark.write_text(SDK)
    return python


def _addresses() -> list[str]:
    """The usual ports when they are free, else any."""
    for port in (8887, 8888):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return []
    return ["--http", "127.0.0.1:8888", "--grpc", "127.0.0.1:8887"]


def _run(client: Client, python: Path, http: str) -> str:
    started = time.monotonic()
    submitted = subprocess.run(
        [str(python), str(ROOT / "tools/demo/submit.py"), http, str(ROOT / "tests/pipelines")],
        stdout=subprocess.PIPE,
        text=True,
    )
    if submitted.returncode != 0:
        raise click.ClickException("the pipeline could not be submitted")
    run_id = submitted.stdout.strip().splitlines()[-1]
    console.print(f"      submitted in {time.monotonic() - started:.1f} s: run {run_id}")
    console.print(f"      in a browser: {http}/runs/{run_id}", soft_wrap=True)
    finished = follow(client, run_id, timeout=600)
    if finished.state != run_pb2.SUCCEEDED:
        raise click.ClickException(f"run {run_id} ended {run_pb2.RuntimeState.Name(finished.state)}")
    return run_id


def _show_artifacts(client: Client, run_id: str, lineage: Lineage) -> None:
    artifacts = list(client.list_artifacts(run_id=run_id))
    rows = [(one.type, one.task_path, one.port, str(one.metadata_id)) for one in artifacts]
    console.print(render.table(("type", "task", "output", "id in ML Metadata"), rows, "artifacts"))
    best = next(one for one in artifacts if one.port == "best")
    console.print("\nlineage of the model chosen, read with the stock ml_metadata client")
    console.print(lineage.tree(best.metadata_id))


def _check_cached(client: Client, run_id: str) -> None:
    tasks = client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id)).tasks
    missed = [
        one.path
        for one in tasks
        if one.kind == TaskKind.CONTAINER and one.state not in (TaskState.CACHED, TaskState.SKIPPED, TaskState.OMITTED)
    ]
    if missed:
        raise click.ClickException(f"not answered from the cache: {', '.join(missed)}")
    console.print(f"      {sum(one.state == TaskState.CACHED for one in tasks)} tasks answered from the cache")


def _look_further(server: Embedded, run_id: str, cached: str) -> None:
    console.print(
        f"\nOpen the run in a browser: {server.http}/runs/{run_id}\n"
        "  Graph shows how its tasks depend on each other, Timeline when each of them ran.\n"
        "  Choose a task to read its log, its inputs and outputs, and why it ended as it did.\n"
        f"  The second run, every task answered from the cache: {server.http}/runs/{cached}\n"
        f"\nLook further (server {server.grpc}, REST {server.http}):\n"
        f"  .venv/bin/penstock runs get {run_id} --server {server.grpc}\n"
        f"  .venv/bin/penstock runs logs {run_id} --server {server.grpc}\n"
        f"  .venv/bin/penstock artifacts list --run {run_id} --server {server.grpc}\n"
        f"  curl {server.http}/apis/v2beta1/runs/{run_id}\n"
        f"  start it again later: .venv/bin/penstock up --data-dir {server.data_dir}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
