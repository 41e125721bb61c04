"""Finds commands and variables that no program can be started with, before a start is tried.

Why: Python would refuse them with a traceback. Invariants: pure; the text says what to change. What depends on the
machine is not checked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_NUL = "holds a NUL character, which no program can be given: remove it, or hand the value over as an artifact"


class UnstartableError(Exception):
    """The task's command or its environment variables are wrong wherever it runs."""


def check(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Raises UnstartableError."""
    if not argv or not argv[0]:
        raise UnstartableError("the first word of the command is empty: write the name of a program there")
    for number, word in enumerate(argv, 1):
        if "\0" in word:
            raise UnstartableError(f"word {number} of the command {_NUL}")
    for name, value in env.items():
        if not name:
            raise UnstartableError("an environment variable has no name: write one, or remove the variable")
        if "=" in name:
            text = f"the environment variable {name!r} has '=' in its name: write the value apart from it"
            raise UnstartableError(text)
        if "\0" in name + value:
            raise UnstartableError(f"the environment variable {name!r} {_NUL}")
