"""Temporary database servers for tests and benchmarks: a real PostgreSQL or MariaDB in a directory of its own.

Invariants: the server listens only on a socket in that directory and a free port of one address, loopback by default;
it is stopped when the block ends. fsync is off, so writes may not survive a power failure, except where durability is
measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pymysql
from psycopg import sql

from tools import debian
from tools.ports import free_port

_SETTINGS = {"max_connections": "200", "timezone": "UTC"}


class PostgreSQL:
    """A server with one database; `url` is SQLAlchemy's. It can be stopped and started again on the same port."""

    def __init__(self, directory: Path, *, durable: bool, host: str) -> None:
        self._directory = directory
        self._binaries = debian.require("initdb").parent
        self.host = host
        self.port = free_port(host)
        settings = {
            **_SETTINGS, "listen_addresses": host, "port": str(self.port), "unix_socket_directories": str(directory)
        }  # fmt: skip
        if not durable:
            # Commits are still synchronous: a crash of the server, which tests cause, must lose none of them.
            settings.update(fsync="off", full_page_writes="off")
        self._run("initdb", "--username=penstock", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D", self._data)
        with (directory / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        with (directory / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all penstock all trust\n")

    @property
    def url(self) -> str:
        return f"postgresql://penstock@{self.host}:{self.port}/postgres"

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-l", str(self._directory / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is a crash."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def processes(self) -> list[psutil.Process]:
        """Its own, and those of its connections."""
        leader = psutil.Process(int((self._directory / "data" / "postmaster.pid").read_text().split()[0]))
        return [leader, *leader.children(recursive=True)]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stops all processes with SIGSTOP: connections stay open and nothing answers."""
        stopped = self.processes()
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
def postgresql(*, durable: bool = False, host: str = "127.0.0.1") -> Iterator[PostgreSQL]:
    """A running server. `durable`: commits are on the disk before they are answered. Who reaches `host` is let in."""
    directory = Path(tempfile.mkdtemp(prefix="penstock-postgresql-"))
    server = None
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        server = PostgreSQL(directory, durable=durable, host=host)
        server.start()
        yield server
    finally:
        if server is not None and (directory / "data" / "postmaster.pid").exists():
            server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)


class MariaDB:
    """A server whose user `penstock` may make databases; `url` is SQLAlchemy's, of a database that is there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        data = str(directory / "data")
        options = ["--no-defaults", f"--datadir={data}", *(["--user=mysql"] if os.geteuid() == 0 else [])]
        _checked("mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db")
        self._command = [
            str(debian.require("mariadbd")), *options, f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={directory / 'socket'}", f"--log-error={directory / 'log'}", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0", "--max-connections=200", "--max-allowed-packet=128M",
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"mysql://penstock:penstock@127.0.0.1:{self.port}/penstock"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not self._listens():
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"mariadbd: {(self._directory / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        made = pymysql.connect(unix_socket=str(self._directory / "socket"), user="root", autocommit=True)
        with made, made.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS penstock CHARACTER SET utf8mb4")
            cursor.execute("GRANT ALL ON *.* TO penstock@'127.0.0.1' IDENTIFIED BY 'penstock'")

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        account = {"user": "penstock", "password": "penstock", "host": "127.0.0.1", "port": self.port}
        with pymysql.connect(**account, autocommit=True) as made, made.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._directory / "socket")) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A running server."""
    directory = Path(tempfile.mkdtemp(prefix="penstock-mariadb-"))
    server = None
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "mysql")
        server = MariaDB(directory)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _checked(program: str, *arguments: str) -> None:
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program}: {done.stdout}")
