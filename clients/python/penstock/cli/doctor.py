"""`penstock doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.common import connection_options

if TYPE_CHECKING:
    from penstock.client import Client

_MIN_FREE_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warn or fail; `advice` says what to do."""

    check: str
    level: str
    text: str
    advice: str = ""


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.penstock"),
    show_default=True,
    envvar="PENSTOCK_DATA_DIR",
    help="The directory `up` would use.",
)
@click.option(
    "--server",
    default="127.0.0.1:8887",
    show_default=True,
    envvar="PENSTOCK_SERVER",
    help="gRPC address of the server to look at.",
)
@connection_options
@click.option("--json", "as_json", is_flag=True, envvar="PENSTOCK_JSON", help="Print JSON and nothing else.")
def doctor(data_dir: Path, server: str, connection: dict[str, Any], as_json: bool) -> None:
    """Say what is wrong with this installation; exit code 1 when something is.

    Example: penstock doctor --data-dir ./data
    """
    findings = [
        *_python(),
        *_packages(),
        *_tools(),
        *_containers(),
        *_directory(data_dir.expanduser()),
        *_inputs(data_dir.expanduser()),
        *_server(server, connection),
    ]
    from penstock.cli.common import print_document, print_table

    if as_json:
        print_document([asdict(finding) for finding in findings])
    else:
        from rich.text import Text

        from penstock import render

        styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        rows = [
            (Text(finding.level, style=styles[finding.level]), finding.check, finding.text, finding.advice)
            for finding in findings
        ]
        print_table(render.table(("", "check", "found", "what to do"), rows))
    raise SystemExit(1 if any(finding.level == "fail" for finding in findings) else 0)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    yield Finding("python", "ok" if fits else "fail", version, "" if fits else "use Python 3.10 to 3.13")


def _packages() -> Iterator[Finding]:
    for module, package in (
        ("penstock_api", "penstock-client"),
        ("penstock_server", "penstock"),
        ("grpc", "grpcio"),
        ("google.protobuf", "protobuf"),
    ):
        yield _import(module, package)
    finding = _import("ml_metadata", "ml-metadata")
    if finding.level == "fail" and sys.version_info >= (3, 12):
        libc, number = platform.libc_ver()
        finding = Finding(
            finding.check,
            "fail",
            finding.text,
            f"on Python 3.12 and newer it needs glibc 2.39 (here {libc} {number}); use Python 3.11",
        )
    yield finding


def _import(module: str, package: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(f"package {package}", "ok", importlib.metadata.version(package))
    except Exception as error:  # noqa: BLE001 - any exception of the import is the finding
        return Finding(f"package {package}", "fail", f"{module}: {error}", f"install {package}")


def _tools() -> Iterator[Finding]:
    try:
        uv = importlib.import_module("uv")
        yield Finding("uv", "ok", str(uv.find_uv_bin()))
    except Exception as error:  # noqa: BLE001 - as above
        yield Finding("uv", "fail", str(error), "install uv: it makes the task environments")
    for program in ("sh",):
        path = shutil.which(program)
        yield Finding(f"program {program}", "ok" if path else "fail", path or "not found", "")


def _containers() -> Iterator[Finding]:
    """Tries to run a container, as `up --backend container` does when it starts."""
    check = "container runtime"
    try:
        probe = importlib.import_module("penstock_executor.backends.container.probe")
    except ImportError:
        return
    try:
        runtime = probe.find()
    except probe.NoRuntimeError as error:
        yield Finding(check, "warn", str(error), "for --backend container install podman, or start docker")
        return
    yield Finding(check, "ok", str(runtime))
    for feature in runtime.lacking():
        yield Finding(check, "warn", feature, "nothing, unless the task needs it")


def _directory(directory: Path) -> Iterator[Finding]:
    existing = directory
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
        yield Finding("data directory", "ok", str(directory))
    except OSError as error:
        yield Finding("data directory", "fail", f"{existing}: {error.strerror}", "choose another with --data-dir")
        return
    if directory.is_dir() and directory.stat().st_mode & 0o077:
        text = f"{directory} is open to other users: it holds arguments, results and keys"
        yield Finding("rights of the data directory", "warn", text, f"chmod 700 {directory}, unless that is wanted")
    free = shutil.disk_usage(existing).free
    level = "ok" if free >= _MIN_FREE_BYTES else "warn"
    yield Finding("free space", level, f"{free / 1024**3:.1f} GiB", "" if level == "ok" else "free some space")


def _inputs(directory: Path) -> Iterator[Finding]:
    """Whether tasks on this machine can get their inputs through overlays; checked only if `up` has run before."""
    try:
        views = importlib.import_module("penstock_executor.backends.local.views")
    except ImportError:
        return
    root, work_dir = directory / "artifacts", directory / "work"
    if not root.is_dir() or not work_dir.is_dir():
        return
    reason = asyncio.run(views.why_no_view(sys.executable, root.resolve(), work_dir.resolve()))
    if reason:
        advice = "nothing, unless inputs are large: copies take time"
        yield Finding("inputs of tasks", "warn", f"are copied: {reason}", advice)
    else:
        yield Finding("inputs of tasks", "ok", "are seen through overlays, without copies")


def _server(address: str, connection: Mapping[str, Any]) -> Iterator[Finding]:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            pass
    except (OSError, ValueError) as error:
        yield Finding("server", "warn", f"{address}: {error}", "start one with `penstock up`, or name it with --server")
        return
    from penstock.client import Client

    with Client(address, **connection) as client:
        yield _call_server("server", client, _health)
        yield _call_server("database", client, _database)


def _call_server(check: str, client: Client, probe: Callable[[Client], str]) -> Finding:
    try:
        return Finding(check, "ok", probe(client))
    except Exception as error:  # noqa: BLE001 - as above
        return Finding(check, "fail", str(error), "see the server's log; where it speaks TLS, give --ca-file")


def _health(client: Client) -> str:
    # grpc.health.v1 on the wire: an empty request, SERVING is field 1 with value 1.
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None
    )
    if client.call(check, b"", deadline=5) != b"\x08\x01":
        raise RuntimeError("the server does not serve")
    return f"{client.target} serves"


def _database(client: Client) -> str:
    from penstock_api.v2beta1 import run_pb2

    reply = client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(page_size=1), deadline=5)
    return f"answers, {reply.total_size} runs"
