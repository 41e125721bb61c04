"""How a program ended, in words that are the same wherever it ran."""

from __future__ import annotations

import signal

from penstock_executor.agent.protocol import ProcessExit


def how(code: int, number: int) -> str:
    """`number` is the signal's, 0 for none; a code may tell of one, too."""
    number = number or (code - 128 if 128 < code < 128 + 65 else 0)
    if not number:
        return f"exited with code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {number} ({name})"


def never_started(exit_: ProcessExit, image: str) -> str:
    """Of a program that the wrapper could not start."""
    why = "does not exist" if exit_.code == 127 else "cannot be executed"
    return f"the command {exit_.command!r} {why} in the image {image!r}"
