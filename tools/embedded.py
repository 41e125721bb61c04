"""`penstock up` as a child of a test, a benchmark or the demo.

Invariants: its ports stay reserved while it is stopped; the processes are stopped when the block ends, also by an
exception; the log is a file in the data directory, so that no process can block on a full pipe.
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

import psutil
from penstock.secret_file import SecretFile

from tools.ports import free_port

PENSTOCK = str(Path(sys.executable).with_name("penstock"))


class Embedded:
    """A context manager. `options` are further ones of `penstock up`; after a restart the addresses stay the same.

    `environments` is a directory of task environments that others use too; without one it makes its own, which takes
    its first task seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        environments: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._environments = environments
        self.http = f"http://127.0.0.1:{free_port()}"
        self.grpc = f"127.0.0.1:{free_port()}"
        self.dispatch = f"127.0.0.1:{free_port()}"
        self._options: Sequence[str] = options
        self._environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Embedded:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_file(self) -> Path:
        return self.data_dir / "up.log"

    @property
    def secret(self) -> SecretFile:
        """What its executor proves itself with."""
        return SecretFile(self.data_dir / "dispatch.key")

    def start(self, timeout: float = 90.0) -> None:
        """Raises RuntimeError with the log's last lines when it does not get ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._environments is not None and not (self.data_dir / "environments").exists():
            (self.data_dir / "environments").symlink_to(self._environments)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    PENSTOCK, "up", "--data-dir", str(self.data_dir),
                    "--http", self.http.partition("://")[2], "--grpc", self.grpc,
                    "--dispatch", self.dispatch, *self._options,
                ],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        line = self._ready_line(time.monotonic() + timeout)
        if not line.startswith("ready "):
            self.stop()
            tail = self.log_file.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"penstock up did not get ready:\n{tail}")
        found = dict(part.split("=", 1) for part in line.split()[1:])
        self.http, self.grpc, self.dispatch = found["http"], found["grpc"], found["dispatch"]

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def child(self, module: str) -> psutil.Process:
        """The process of `penstock_server` or `penstock_executor`. Raises LookupError."""
        assert self.process is not None
        for process in psutil.Process(self.process.pid).children():
            if any(module in word for word in process.cmdline()):
                return process
        raise LookupError(module)

    def _ready_line(self, until: float) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in text and selector.select(max(0.0, until - time.monotonic())):
                data = os.read(self.process.stdout.fileno(), 4096)
                if not data:
                    break
                text += data
        return text.decode().split("\n", 1)[0]
