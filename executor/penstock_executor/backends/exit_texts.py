"""Texts about how a program ended, and the last lines of its log: the same on all backends."""

from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path

from penstock_executor.agent.protocol import ProcessExit

_TAIL_BYTES = 2048


def describe_exit(code: int, number: int) -> str:
    """`number` is the signal's, 0 for none. An exit code of 128 + n means signal n, too."""
    number = number or (code - 128 if 128 < code < 128 + 65 else 0)
    if not number:
        return f"exited with code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {number} ({name})"


def describe_failed_start(exit_: ProcessExit, image: str) -> str:
    """Why the wrapper could not start the program."""
    if exit_.errno == errno.E2BIG:
        return arguments_too_long(exit_.command)
    why = "does not exist" if exit_.code == 127 else "cannot be executed"
    return f"the command {exit_.command!r} {why} in the image {image!r}"


def arguments_too_long(command: str) -> str:
    """The limit is the same on every machine, so the text says what to change in the task."""
    return (
        f"the command {command!r} cannot be started: its arguments and environment variables are too long, together or "
        "one of them alone (128 KiB on Linux): hand large values over as artifacts"
    )


def last_lines(log: Path) -> str:
    """The end of a program's log, at most 2 KiB; empty when there is none or it cannot be read."""
    try:
        # The program may have replaced its log by a FIFO; opening that without O_NONBLOCK would block for ever.
        with os.fdopen(os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return ""
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            text = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return (text.partition("\n")[2] if size > _TAIL_BYTES and "\n" in text else text).strip()
