"""Has documents read by processes beside the server (`process` says why).

Invariants: a process is started by the first task that needs it, never by a fork of Python code, because gRPC has
threads. There are so many of them, so many tasks wait, and a task has so many seconds. A task that takes longer, or
whose process dies, is refused and nothing else is: the next one gets a new process. A process that ended between two
tasks fails none. When the pool is closed, tasks under way are refused, and no process is left.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from penstock_server.errors import InvalidArgumentError, ResourceExhaustedError, UnavailableError
from penstock_server.workers import process

log = logging.getLogger(__name__)

# Variables without which Python, or its coverage, may not start; all others, and the secrets in them, stay here.
_KEPT_VARIABLES = ("PYTHON", "COVERAGE", "LD_", "DYLD_", "LANG", "LC_", "TMPDIR", "PATH", "HOME")
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_END_SECONDS = 5.0
_MAX_REPLY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """`processes` read at a time, `waiting` tasks wait for one, `wait_seconds` at most.

    A task may take `cpu_seconds` of a processor, which says something of the task alone, and `seconds` in all.
    """

    processes: int = 1
    waiting: int = 32
    wait_seconds: float = 30.0
    cpu_seconds: float = 20.0
    seconds: float = 60.0
    memory_bytes: int = 2 << 30


@dataclass(eq=False, slots=True)
class _Worker:
    program: subprocess.Popen[bytes]
    connection: Connection
    overdue: bool = False

    def kill(self) -> None:
        self.program.kill()

    def expire(self) -> None:
        self.overdue = True
        self.program.kill()

    def ended(self) -> int:
        """Its return code, after it was ended."""
        self.connection.close()
        try:
            return self.program.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.program.kill()
            return self.program.wait()


class Workers:
    """Thread-safe. `environ` are the variables of the server; those that may hold secrets are not passed on."""

    def __init__(self, environ: Mapping[str, str], limits: WorkerLimits | None = None) -> None:
        self._environ = {name: value for name, value in environ.items() if name.startswith(_KEPT_VARIABLES)}
        self._limits = limits or WorkerLimits()
        self._places = threading.BoundedSemaphore(self._limits.processes + self._limits.waiting)
        self._turns = threading.BoundedSemaphore(self._limits.processes)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    def call(self, task: str, values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        """What `task` (`module:function`) returns for values, which are JSON, and content.

        Raises InvalidArgumentError for what takes more memory or time of a processor than it may, or crashes the
        process, ResourceExhaustedError for what takes too long or finds no place, UnavailableError when no process can
        be started or the pool is closed.
        """
        if not self._places.acquire(blocking=False):
            raise ResourceExhaustedError("too many large documents wait to be read; try again")
        try:
            if not self._turns.acquire(timeout=self._limits.wait_seconds):
                raise ResourceExhaustedError("too many large documents wait to be read; try again")
            try:
                return self._call(json.dumps({"task": task, "values": values}).encode(), content)
            finally:
                self._turns.release()
        finally:
            self._places.release()

    def close(self) -> None:
        """Ends all processes, those at work too."""
        with self._lock:
            self._closed = True
            idle, self._idle, busy = self._idle, [], list(self._busy)
        for worker in (*idle, *busy):
            worker.kill()
        # The connection of one at work is its caller's, who sees its end.
        for worker in busy:
            worker.program.wait()
        for worker in idle:
            worker.ended()

    def pids(self) -> list[int]:
        """Ids of the processes that are there now."""
        with self._lock:
            return [worker.program.pid for worker in (*self._idle, *self._busy) if worker.program.poll() is None]

    def _call(self, task: bytes, content: bytes) -> tuple[dict[str, Any], bytes]:
        while True:
            worker, is_new = self._taken()
            reply = self._exchange(worker, task, content)
            if reply is not None:
                break
            code = worker.ended()
            with self._lock:
                self._busy.discard(worker)
            # One that was kept may have ended just before the task came.
            if code != 0 or is_new:
                raise self._refusal(worker, code)
        outcome, values, result = reply
        with self._lock:
            self._busy.discard(worker)
            if not self._closed:
                self._idle.append(worker)
        if outcome == process.MEMORY:
            raise InvalidArgumentError(self._memory_text())
        if outcome == process.FAILED:
            raise RuntimeError(f"a task failed in a worker:\n{values['traceback']}")
        return values, result

    def _exchange(self, worker: _Worker, task: bytes, content: bytes) -> tuple[str, dict[str, Any], bytes] | None:
        """None when the process ended before it replied."""
        watchdog = threading.Timer(self._limits.seconds, worker.expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            worker.connection.send_bytes(task)
            worker.connection.send_bytes(content)
            reply = json.loads(worker.connection.recv_bytes(_MAX_REPLY_BYTES))
            return reply["outcome"], reply["values"], worker.connection.recv_bytes(_MAX_REPLY_BYTES)
        except (OSError, EOFError):
            return None
        except (ValueError, KeyError, TypeError):
            # No task does this. A document that took the process over might.
            log.error("the process that read a document replied nonsense, and is ended")
            worker.kill()
            return None
        finally:
            watchdog.cancel()

    def _taken(self) -> tuple[_Worker, bool]:
        """A process for this task alone, and whether it was started for it. Raises UnavailableError."""
        with self._lock:
            while self._idle and not self._closed:
                worker = self._idle.pop()
                if worker.program.poll() is None:
                    self._busy.add(worker)
                    return worker, False
                worker.connection.close()
            self._require_open()
        worker = self._started()
        with self._lock:
            if self._closed:
                worker.kill()
            self._busy.add(worker)
        return worker, True

    def _started(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                begun = time.monotonic()
                program = subprocess.Popen(  # noqa: S603 - this interpreter, a file of ours
                    [
                        sys.executable,
                        process.__file__,
                        str(theirs.fileno()),
                        str(self._limits.memory_bytes),
                        str(self._limits.cpu_seconds),
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=self._environ,
                )
            except OSError as error:
                ours.close()
                raise UnavailableError("the process that reads documents cannot be started; try again") from error
        log.debug("started process %d for documents in %.3f s", program.pid, time.monotonic() - begun)
        return _Worker(program, Connection(ours.detach()))

    def _require_open(self) -> None:
        if self._closed:
            raise UnavailableError("the server is stopping; try again")

    def _refusal(self, worker: _Worker, code: int) -> Exception:
        """Why a task whose process ended has no result."""
        with self._lock:
            if self._closed:
                return UnavailableError("the server is stopping; try again")
        if worker.overdue:
            log.warning("a document was not read within %g seconds", self._limits.seconds)
            return ResourceExhaustedError(
                f"the document takes more than {self._limits.seconds:g} seconds to read; send a smaller one, or the "
                "same one when the server has less to do"
            )
        log.warning("the process that read a document ended (%d): another is started when it is needed", code)
        if -code == process.OVERTIME:
            return InvalidArgumentError(
                f"the document takes more than {self._limits.cpu_seconds:g} seconds of a processor to read"
            )
        if -code in _CRASHES:
            return InvalidArgumentError("the document cannot be read: the process that read it crashed")
        return ResourceExhaustedError(
            "the process that read the document was ended, which happens when there is no memory left; try again, "
            "or send a smaller one"
        )

    def _memory_text(self) -> str:
        return f"the document takes more than {self._limits.memory_bytes >> 20} MiB of memory to read"
