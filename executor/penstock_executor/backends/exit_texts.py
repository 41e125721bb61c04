"""How a program ended and what it said last, in words that are the same wherever it ran."""

from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path

from penstock_executor.agent.protocol import ProcessExit

_TAIL_BYTES = 2048


def describe_exit(code: int, number: int) -> str:
    """`number` is the signal's, 0 for none; a code may tell of one, too."""
    number = number or (code - 128 if 128 < code < 128 + 65 else 0)
    if not number:
        return f"exited with code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {number} ({name})"


def describe_failed_start(exit_: ProcessExit, image: str) -> str:
    """Of a program that the wrapper could not start."""
    if exit_.errno == errno.E2BIG:
        return arguments_too_long(exit_.command)
    why = "does not exist" if exit_.code == 127 else "cannot be executed"
    return f"the command {exit_.command!r} {why} in the image {image!r}"


def arguments_too_long(command: str) -> str:
    """The same on every machine, so nothing but the task can be changed."""
    return (
        f"the command {command!r} cannot be started: its arguments and environment variables are too long, together or "
        "one of them alone (128 KiB on Linux): hand large values over as artifacts"
    )


def last_lines(log: Path) -> str:
    """Of a program's log, at most 2 KiB; empty when there are none."""
    try:
        # The program may have put anything in its place: a pipe would hold us for ever.
        with os.fdopen(os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return ""
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            text = stream.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return (text.partition("\n")[2] if size > _TAIL_BYTES and "\n" in text else text).strip()
