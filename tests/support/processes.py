"""A server of several processes (`--processes`), whose processes can be told apart, killed and suspended one by one.

Invariants: it has its addresses and its log before it is ready; connections here are not shared with other clients of
the test, so that the system gives each to one process by itself.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.support.replicas import Program
from tools.ports import free_port
from tools.testing import runs

_OWN_CONNECTIONS: Sequence[tuple[str, int]] = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)
_READY = re.compile(r"process (\d+) is ready, pid (\d+)")


class ServerOfProcesses(Program):
    """`grpc`, `http` and `dispatch` are HOST:PORT."""

    def __init__(self, directory: Path, database: str, count: int, *options: str) -> None:
        self.grpc, self.http, self.dispatch = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.count = count
        super().__init__(
            "server",
            [
                "penstock_server.main", "--data-dir", str(directory), "--database", database,
                "--metadata-database", "none", "--processes", str(count), "--grpc", self.grpc, "--http", self.http,
                "--dispatch", self.dispatch, *options,
            ],
            directory,
            os.environ,
        )  # fmt: skip

    def pids(self) -> dict[int, int]:
        """Of the processes that became ready last, by number."""
        return {int(number): int(pid) for number, pid in _READY.findall(self.log)}

    def number_of(self, pid: int) -> int:
        return next(number for number, one in self.pids().items() if one == pid)

    def all_processes(self) -> list[psutil.Process]:
        """The supervisor and what it started."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def channel(self) -> grpc.Channel:
        """With a connection of its own, and without retries."""
        return grpc.insecure_channel(self.grpc, options=_OWN_CONNECTIONS)

    @contextmanager
    def connected(self) -> Iterator[dict[int, http.client.HTTPConnection]]:
        """A connection to each process, by number."""
        found: dict[int, http.client.HTTPConnection] = {}
        with ExitStack() as stack:

            def one_more() -> int:
                connection = http.client.HTTPConnection(self.http, timeout=30)
                stack.callback(connection.close)
                connection.connect()
                found.setdefault(self._process_of(connection.sock.getsockname()[1]), connection)
                return len(found)

            runs.until(one_more, lambda many: many == self.count)
            yield found

    def _process_of(self, port: int) -> int:
        """The number of the process that has the other end of a connection from that port."""
        for number, pid in self.pids().items():
            if any(one.raddr and one.raddr.port == port for one in psutil.Process(pid).net_connections("tcp")):
                return number
        raise LookupError(port)

    def figures(self) -> dict[tuple[str, str, str], float]:
        """What /metrics says: by name, process and method, summed over everything else; "" for what has none."""
        connection = http.client.HTTPConnection(self.http, timeout=30)
        try:
            content = got(connection, "/metrics")[1].decode()
        finally:
            connection.close()
        summed: dict[tuple[str, str, str], float] = {}
        for family in text_string_to_metric_families(content):
            for sample in family.samples:
                method = sample.labels.get("method", "").rpartition("/")[2]
                key = sample.name, sample.labels.get("process", ""), method
                summed[key] = summed.get(key, 0.0) + sample.value
        return summed

    def answered(self, method: str) -> dict[str, float]:
        """How many calls of the method each process answered."""
        name = "penstock_rpc_seconds_count"
        return {one: value for (key, one, of), value in self.figures().items() if (key, of) == (name, method)}


def got(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    """Status and content of a GET."""
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read()


@contextmanager
def server_of_processes(directory: Path, database: str, count: int = 2, *options: str) -> Iterator[ServerOfProcesses]:
    """Ready; killed at the end with all that it started, if it is still there."""
    server = ServerOfProcesses(directory, database, count, *options)
    server.start()
    started: list[psutil.Process] = []
    try:
        server.ready(120)
        started = server.all_processes()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            started += server.all_processes()
        server.kill()
        for process in started:
            if process.is_running():
                process.kill()
