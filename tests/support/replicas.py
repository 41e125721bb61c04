"""Servers and executors as processes of their own, several of each, to be killed, stopped and started again.

Invariants: a program that is started again has its addresses and its name again; its log is a file beside the data;
whatever is still there when the block ends is killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tools.ports import free_port
from tools.testing import runs, specs

TASKS = ("t0", "t1", "t2")


class Program:
    """One process of a command whose first line on stdout says `ready …`."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`variables` are set in any environment."""
        self.name = name
        self.variables = {**(variables or {})}
        self._arguments = arguments
        self.environment = environment
        self.log_file = directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Does not wait. `environment` replaces the one before, from now on."""
        self.environment = self.environment if environment is None else environment
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                env={**self.environment, **self.variables},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd="/",
            )  # fmt: skip

    def ready(self, timeout: float = 60.0) -> None:
        """Raises RuntimeError with the log's last lines when it does not get ready."""
        assert self.process is not None
        assert self.process.stdout is not None
        until, text = time.monotonic() + timeout, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in text and selector.select(max(0.0, until - time.monotonic())):
                data = os.read(self.process.stdout.fileno(), 4096)
                if not data:
                    break
                text += data
        if not text.startswith(b"ready "):
            raise RuntimeError(f"{self.name} did not get ready:\n{self.log_file.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and waits for its end."""
        self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """Returns when it stands still: between the signal and that, its other threads go on."""
        self.send(signal.SIGSTOP)
        assert self.process is not None
        runs.until(psutil.Process(self.process.pid).status, lambda status: status == psutil.STATUS_STOPPED)

    def ports(self) -> set[int]:
        """Of its ends of TCP connections, and those it listens on."""
        assert self.process is not None
        return {one.laddr.port for one in psutil.Process(self.process.pid).net_connections("tcp") if one.laddr}

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


class Replicas:
    """A context manager. Executors share one directory, as those of one machine may, and adopt each other's tasks."""

    def __init__(
        self,
        directory: Path,
        database: str,
        metadata: str = "none",
        *,
        servers: int = 2,
        executors: int = 2,
        lease_seconds: float = 3.0,
        parallelism: int = 2,
        failover: bool = True,
        at_once: bool = True,
        older: bool = False,
        environment: Mapping[str, str] | None = None,
        environments: Path | None = None,
    ) -> None:
        """`failover`: executors know all servers, not one each. `at_once`: nobody waits for another to be ready.
        `older`: executors call servers of the release before, whose gRPC port is theirs too.

        `environments`: as of `Embedded`.
        """
        self._at_once = at_once
        self.directory = directory
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(servers)]
        self.dispatch = [f"127.0.0.1:{free_port()}" for _ in range(servers)]
        self.http = [f"http://127.0.0.1:{free_port()}" for _ in range(servers)]
        self._environment = {**os.environ, **(environment or {})}
        called = self.addresses if older else self.dispatch
        tasks = directory / "tasks"
        if environments is not None:
            tasks.mkdir()
            (tasks / "environments").symlink_to(environments)
        lineage = "--no-lineage" if metadata == "none" else "--lineage"
        self.servers = [
            self._program(
                f"server-{number}",
                "penstock_server.main", "--grpc", address, "--http", self.http[number].removeprefix("http://"),
                "--data-dir", str(directory / f"server-{number}"), "--artifacts", str(tasks / "artifacts"),
                "--database", database, "--metadata-database", metadata,
                # A server of the release before has no such option.
                PENSTOCK_DISPATCH=self.dispatch[number],
            )
            for number, address in enumerate(self.addresses)
        ]  # fmt: skip
        self.executors = [
            self._program(
                f"executor-{number}",
                "penstock_executor.main", "--data-dir", str(tasks), "--name", f"executor-{number}",
                "--lease-seconds", str(lease_seconds), "--parallelism", str(parallelism), lineage,
                # Not all with the same first.
                PENSTOCK_SERVER=",".join(_in_turn(called, number)[: len(called) if failover else 1]),
            )
            for number in range(executors)
        ]  # fmt: skip

    def __enter__(self) -> Replicas:
        try:
            for program in self.programs:
                program.start()
                if not self._at_once:
                    program.ready()
            if self._at_once:
                for program in self.programs:
                    program.ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def programs(self) -> list[Program]:
        return [*self.servers, *self.executors]

    def said(self, what: str) -> list[str]:
        """The lines of all logs with this in them."""
        return [line for program in self.programs for line in program.log.splitlines() if what in line]

    def _end(self) -> None:
        for program in reversed(self.programs):
            program.kill()

    def _program(self, name: str, *arguments: str, **variables: str) -> Program:
        return Program(name, arguments, self.directory, self._environment, variables)


def _in_turn(addresses: list[str], first: int) -> list[str]:
    first %= len(addresses)
    return addresses[first:] + addresses[:first]


def spec(starts: Path, seconds: float, wait_for: str = "") -> dict[str, Any]:
    """A chain of tasks that say each start in a file; the second one waits until a file is there."""
    commands = {}
    for name in TASKS:
        wait = f"while [ ! -e {wait_for} ]; do sleep 0.05; done" if wait_for and name == "t1" else f"sleep {seconds}"
        commands[name] = ["sh", "-c", f"echo {name} >> {starts}; {wait}"]
    return specs.chain(commands, name="replicas")


def program_is_up(program: Program) -> None:
    assert program.process is not None
    assert program.process.poll() is None, f"{program.name} has ended by itself:\n{program.log[-3000:]}"
