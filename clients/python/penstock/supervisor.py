"""Keeps child programs running (`penstock up`).

Invariants: children are started in order, each when the one before is ready, and stopped in the reverse order; one that
dies is started again after a jittered, growing pause; five deaths within a minute end everything with its last lines.
Their output goes to this program's stderr and to a bounded log file, and is read on while neither takes it.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

from penstock.line_writer import LineWriter

_MAX_DEATHS = 5
_WINDOW_SECONDS = 60.0
_LOG_BYTES = 10 * 1024 * 1024
_LAST_LINES_SECONDS = 2.0


class _LogFile:
    """The last lines, as many as a few files of bounded size hold."""

    def __init__(self, path: Path) -> None:
        self._handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=3, encoding="utf-8", delay=True)

    def write(self, text: str) -> None:
        """Raises OSError."""
        log = self._handler
        try:
            if log.stream is None:
                log.stream = log._open()  # noqa: SLF001 - what a handler's emit() calls; it would swallow the OSError
            log.stream.write(text + "\n")
            log.stream.flush()
        except OSError:
            # Closed, so that what it holds does not come later, behind the lines that are missing.
            with suppress(OSError):
                log.close()
            raise
        if log.stream.tell() > _LOG_BYTES:
            log.doRollover()


class ChildFailedError(Exception):
    """A child cannot be kept running; the text holds its last lines."""


@dataclass(slots=True)
class Child:
    """`command` makes the arguments when it starts, so that a later child may use what an earlier one said.

    `variables` differ from this process's environment; None takes one away.
    """

    name: str
    command: Callable[[], Sequence[str]]
    variables: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    process: subprocess.Popen[str] | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    ready_line: str = ""
    tail: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=20))
    deaths: list[float] = field(default_factory=list)
    start_again_at: float = 0.0


class Supervisor:
    """`echo` gets every line of the children's stderr, with the child's name; it may raise OSError."""

    def __init__(self, children: Sequence[Child], log_dir: Path, echo: Callable[[str, str], None]) -> None:
        self._children = list(children)
        self._log_dir = log_dir
        self._wake = threading.Event()
        self._stopping = False
        self._readers: list[threading.Thread] = []
        self._echoed = {child.name: LineWriter(partial(echo, child.name)) for child in children}
        self._kept = {child.name: LineWriter(_LogFile(log_dir / f"{child.name}.log").write) for child in children}

    def start(self, timeout: float = 60.0) -> None:
        """Starts all, in order. Raises ChildFailedError when one does not get ready."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for child in self._children:
            self._spawn(child)
            until = time.monotonic() + timeout
            while not child.ready.wait(0.05):
                if self._stopping:
                    return
                if child.process is not None and child.process.poll() is not None:
                    raise ChildFailedError(self._failure(child, "ended before it was ready"))
                if time.monotonic() > until:
                    raise ChildFailedError(self._failure(child, f"was not ready within {timeout:g} s"))

    def run(self) -> None:
        """Until `request_stop`. Raises ChildFailedError."""
        # No retry of a call: it watches children, each of which is started again on its own when it ends.
        while not self._stopping:
            now = time.monotonic()
            for child in self._children:
                self._restart_if_ended(child, now)
            waiting = [child.start_again_at - now for child in self._children if child.process is None]
            self._wake.wait(max(0.0, min([1.0, *waiting])))
            self._wake.clear()

    def request_stop(self) -> None:
        """Children are not started again, and `run` returns; for signal handlers."""
        self._stopping = True
        self._wake.set()

    def stop(self, grace: float = 15.0) -> None:
        """Ends the children, last one first: SIGTERM, and SIGKILL when that takes too long."""
        self._stopping = True
        for child in reversed(self._children):
            process = child.process
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._finish_output()

    def kill(self) -> None:
        """Ends the children at once."""
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.kill()

    def _restart_if_ended(self, child: Child, now: float) -> None:
        if child.process is not None and child.process.poll() is not None:
            code = child.process.returncode
            child.process = None
            child.deaths = [at for at in child.deaths if now - at < _WINDOW_SECONDS] + [now]
            if len(child.deaths) >= _MAX_DEATHS:
                raise ChildFailedError(self._failure(child, f"ended {_MAX_DEATHS} times within a minute"))
            pause = random.uniform(0.5, 1.0) * 0.1 * 2 ** len(child.deaths)  # noqa: S311 - a delay
            child.start_again_at = now + pause
            self._echoed[child.name].put(f"ended with {_exit_status(code)}, starts again in {pause:.1f} s")
        if child.process is None and now >= child.start_again_at:
            self._spawn(child)

    def _spawn(self, child: Child) -> None:
        child.ready.clear()
        child.process = subprocess.Popen(  # noqa: S603 - this interpreter, modules of ours
            [sys.executable, "-m", "penstock._child", str(os.getpid()), *child.command()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(child.variables),
            text=True,
            errors="replace",
            # Its own group: Ctrl-C reaches us alone, and we end children in order.
            start_new_session=True,
        )
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        for stream, read in ((child.process.stdout, self._read_stdout), (child.process.stderr, self._read_stderr)):
            self._readers.append(threading.Thread(target=read, args=(child, stream), daemon=True))
            self._readers[-1].start()
        threading.Thread(target=self._wait, args=(child.process,), daemon=True).start()

    def _wait(self, process: subprocess.Popen[str]) -> None:
        process.wait()
        self._wake.set()

    def _read_stdout(self, child: Child, stream: object) -> None:
        for line in stream:  # type: ignore[attr-defined]
            if line.startswith("ready "):
                child.ready_line = line.strip()
                child.ready.set()

    def _read_stderr(self, child: Child, stream: object) -> None:
        for line in stream:  # type: ignore[attr-defined]
            text = line.rstrip("\n")
            child.tail.append(text)
            self._kept[child.name].put(text)
            self._echoed[child.name].put(text)

    def _finish_output(self) -> None:
        """What the children said last, as far as it comes in time: what they started may hold their pipes open."""
        until = time.monotonic() + _LAST_LINES_SECONDS
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))
        for writer in (*self._kept.values(), *self._echoed.values()):
            writer.close(max(0.1, until - time.monotonic()))

    def _failure(self, child: Child, what: str) -> str:
        if child.process is not None and child.process.poll() is not None:
            # Its last lines may still be on their way through the pipe.
            time.sleep(0.2)
        words = "\n".join(line for line in child.tail if line.strip())
        return f"the {child.name} {what}" + (f":\n{words}" if words else "")


def _exit_status(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def _environment(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Ours with these changes."""
    merged = {**os.environ, **variables}  # noqa: TID251 - children have our environment, as without this program
    return {name: value for name, value in merged.items() if value is not None}
