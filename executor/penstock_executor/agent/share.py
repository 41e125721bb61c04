"""The agent's side of the directory that it shares with the wrapper (docs/pods.md).

Invariants: each side hears the other's end through a FIFO that only the other keeps open, however it ends; marks appear
whole, by rename. The user's program can write here too: nothing of it is trusted but what it may say of itself.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

from penstock_executor.agent.protocol import ProcessExit

_FIRST_POLL_SECONDS = 0.01
_LAST_POLL_SECONDS = 0.2
_EXIT_BYTES = 16 * 1024


def say(text: str) -> None:
    """A line in the container's log."""
    sys.stderr.write(f"penstock agent: {text}\n")
    sys.stderr.flush()


class Share:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def show_life(self) -> None:
        """The wrapper that waits for inputs hears when we are gone; the file is open as long as the process lives."""
        made = self.directory / ".agent"
        made.unlink(missing_ok=True)
        os.mkfifo(made, 0o666)
        os.open(made, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        made.rename(self.directory / "agent")

    def ready(self) -> None:
        self._mark("ready", "")

    def failed(self, text: str) -> None:
        self._mark("failed", text)

    def wait_for_wrapper(self) -> None:
        alive = self.directory / "alive"
        delay = _FIRST_POLL_SECONDS
        while not alive.exists():
            time.sleep(delay)
            delay = min(delay * 1.5, _LAST_POLL_SECONDS)

    def wait_for_end(self) -> ProcessExit | None:
        """How the program ended; None when its container died without a word. Returns when the wrapper is gone."""
        file = os.open(self.directory / "alive", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            poll = select.poll()
            # Only its end: nobody is meant to write, and whoever does must not keep us busy.
            poll.register(file, 0)
            if not self._is_orphan(file):
                poll.poll()
        finally:
            os.close(file)
        return self.left()

    @staticmethod
    def _is_orphan(file: int) -> bool:
        """Whether the wrapper was gone before we opened its FIFO: the kernel reports the end of writers it showed."""
        try:
            return os.read(file, 1) == b""
        except BlockingIOError:
            return False

    def left(self) -> ProcessExit | None:
        """How the program ended, as the wrapper wrote it down; None when it did not."""
        try:
            with (self.directory / "exit").open("rb") as stream:
                return ProcessExit(**json.loads(stream.read(_EXIT_BYTES)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            say(f"the program's end cannot be read: {type(error).__name__}")
            return None

    def _mark(self, name: str, text: str) -> None:
        part = self.directory / f".{name}"
        part.write_text(text, "utf-8")
        part.rename(self.directory / name)
