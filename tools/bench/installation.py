"""Several servers and executors as processes of one machine, on one PostgreSQL, with a simulated cluster.

Servers have ports of their own. Executors know all servers, each another one first, have names of their own, and make
Pods in one namespace for one installation.

Invariants: server and executor log warnings and worse, into a file each; what was started is ended with the block,
executors before servers, by SIGTERM.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path

import psutil

from tools.bench.api_server import ApiServer, api_server

_READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Installation:
    servers: Sequence[ApiServer]
    executors: Sequence[psutil.Process]
    logs: Path

    def metadata_stores(self) -> list[psutil.Process]:
        """The processes of ML Metadata, one of each server that has it."""
        return [one for one in self._children() if "metadata_process" in " ".join(one.cmdline())]

    def server_processes(self) -> list[psutil.Process]:
        """The servers with what they started, but for ML Metadata."""
        stores = {one.pid for one in self.metadata_stores()}
        started = [one for one in self._children() if one.pid not in stores]
        return [*(one.process for one in self.servers), *started]

    def warnings(self) -> list[str]:
        """Of servers and executors; ML Metadata's library writes into the same files in a form of its own."""
        lines = [line for path in sorted(self.logs.glob("*.log")) for line in path.read_text("utf-8").splitlines()]
        return [line for line in lines if any(f" {level} " in line for level in ("WARNING", "ERROR"))]

    def _children(self) -> list[psutil.Process]:
        return [child for one in self.servers for child in one.process.children(recursive=True)]


@contextmanager
def installation(
    directory: Path, environment: Mapping[str, str], database: str, metadata: str, *, servers: int, executors: int
) -> Iterator[Installation]:
    """Ready. `database` and `metadata` are URLs; without lineage where `metadata` is `none`."""
    logs = directory / "logs"
    logs.mkdir(parents=True)
    with ExitStack() as stack:
        ups = []
        for number in range(servers):
            log = stack.enter_context((logs / f"server-{number}.log").open("wb"))
            options = ("--metadata-database", metadata)
            data = directory / f"server-{number}"
            ups.append(stack.enter_context(api_server(data, database, *options, environment=environment, log=log)))
        addresses = [one.dispatch for one in ups]
        started = []
        for number in range(executors):
            first = number % servers
            command = [
                sys.executable, "-m", "penstock_executor.main", "--backend", "kubernetes",
                "--name", f"executor-{number}", "--data-dir", str(directory / f"executor-{number}"),
                "--server", ",".join([*addresses[first:], *addresses[:first]]), "--log-level", "warning",
                "--no-lineage" if metadata == "none" else "--lineage",
            ]  # fmt: skip
            log = stack.enter_context((logs / f"executor-{number}.log").open("wb"))
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env={**environ, **environment}
            )
            stack.callback(_ended, process)
            started.append(process)
        for number, process in enumerate(started):
            _await_ready(process, logs / f"executor-{number}.log")
        yield Installation(ups, [psutil.Process(one.pid) for one in started], logs)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises RuntimeError with what it logged when it does not get ready."""
    assert process.stdout is not None
    until = time.monotonic() + _READY_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        said = process.stdout.readline() if selector.select(max(0.0, until - time.monotonic())) else b""
    if not said.startswith(b"ready "):
        raise RuntimeError(f"an executor did not get ready:\n{log.read_text(errors='replace')[-2000:]}")


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
