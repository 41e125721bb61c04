"""The agent's side of the directory that it shares with the wrapper (docs/pods.md).

Invariants: each side keeps a FIFO open for as long as it lives, so the other notices its death, however it died; marker
files appear whole, by rename. The user's program can write here too, so a file is trusted only for what that program
may decide about itself.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

from penstock_executor.agent.protocol import ProcessExit
from penstock_executor.artifacts.untrusted_files import read_untrusted

_FIRST_POLL_SECONDS = 0.001
_LAST_POLL_SECONDS = 0.2
_EXIT_BYTES = 16 * 1024


def log_line(text: str) -> None:
    """A line in the container's log."""
    sys.stderr.write(f"penstock agent: {text}\n")
    sys.stderr.flush()


class Share:
    """`wrapper_ended`: a descriptor that can be read when the wrapper has ended for certain, None where only the Pod
    ends when it has.
    """

    def __init__(self, directory: Path, wrapper_ended: int | None = None) -> None:
        self.directory = directory
        self._wrapper_ended = wrapper_ended

    def open_liveness_fifo(self) -> None:
        """Keeps a FIFO open until this process ends, so that a wrapper that waits for inputs notices its end."""
        fifo = self.directory / ".agent"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o666)
        os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fifo.rename(self.directory / "agent")

    def ready(self) -> None:
        self._mark("ready", "")

    def failed(self, text: str) -> None:
        self._mark("failed", text)

    def has_wrapper(self) -> bool:
        """Whether the wrapper has begun."""
        return (self.directory / "alive").exists()

    def wait_for_wrapper(self) -> bool:
        """Whether it has begun: it may have ended before."""
        delay = _FIRST_POLL_SECONDS
        ended = [] if self._wrapper_ended is None else [self._wrapper_ended]
        # No retry of a failed call: it polls for a file.
        while not self.has_wrapper():
            if select.select(ended, (), (), delay)[0]:
                return self.has_wrapper()
            delay = min(delay * 1.5, _LAST_POLL_SECONDS)
        return True

    def wait_for_end(self) -> ProcessExit | None:
        """Waits until the wrapper is gone. How the program ended; None when the wrapper was killed before."""
        file = os.open(self.directory / "alive", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            poll = select.poll()
            # Only POLLHUP: the FIFO carries no data, and if the program writes some, this must not wake up.
            poll.register(file, 0)
            if self._wrapper_ended is not None:
                poll.register(self._wrapper_ended, select.POLLIN)
            if not self._writer_is_gone(file):
                poll.poll()
        finally:
            os.close(file)
        return self.read_exit()

    @staticmethod
    def _writer_is_gone(file: int) -> bool:
        """Whether the wrapper was gone before the FIFO was opened: poll reports only a writer that leaves later."""
        try:
            return os.read(file, 1) == b""
        except BlockingIOError:
            return False

    def read_exit(self) -> ProcessExit | None:
        """How the program ended, as the wrapper wrote it to the file `exit`; None when there is no such file."""
        try:
            found = ProcessExit.checked(json.loads(read_untrusted(self.directory / "exit", _EXIT_BYTES)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log_line(f"the program's end cannot be read: {type(error).__name__}")
            return None
        if found is None:
            log_line("the program's end was not written by the wrapper")
        return found

    def _mark(self, name: str, text: str) -> None:
        part = self.directory / f".{name}"
        part.write_text(text, "utf-8")
        part.rename(self.directory / name)
