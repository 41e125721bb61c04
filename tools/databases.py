"""Throw-away database servers for tests and benchmarks: a real PostgreSQL in a directory of its own.

Invariants: nothing listens but a socket in that directory and a free port on loopback; the server is ended when the
block ends; what is missing is installed. Writes need not survive a power cut (fsync is off), except where durability is
what is measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_SETTINGS = {"max_connections": "200", "timezone": "UTC"}


class PostgreSQL:
    """A server with one database; `url` is SQLAlchemy's. It can be stopped and started again on the same port."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._directory = directory
        self._binaries = _postgresql_binaries()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(directory)}
        if not durable:
            settings.update(fsync="off", synchronous_commit="off", full_page_writes="off")
        self._run("initdb", "--username=penstock", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", self._data)
        with (directory / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    @property
    def url(self) -> str:
        return f"postgresql://penstock@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-l", str(self._directory / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is a crash."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Its processes stand still: connections stay and nothing answers."""
        leader = psutil.Process(int((self._directory / "data" / "postmaster.pid").read_text().split()[0]))
        stopped = [leader, *leader.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*prefix, str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}")


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[PostgreSQL]:
    """A running server. `durable`: commits are on the disk before they are answered."""
    directory = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
    server = None
    try:
        _postgresql_binaries()
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        server = PostgreSQL(directory, durable=durable)
        server.start()
        yield server
    finally:
        if server is not None and (directory / "data" / "postmaster.pid").exists():
            server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


def _postgresql_binaries() -> Path:
    for attempt in range(2):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        on_path = shutil.which("initdb")
        if found or on_path:
            return (found[-1] if found else Path(str(on_path))).parent
        if attempt == 0:
            subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
            subprocess.run(["apt-get", "install", "-y", "-qq", "postgresql"], check=True, capture_output=True)
    raise RuntimeError("PostgreSQL is not installed and could not be: install the package postgresql")
