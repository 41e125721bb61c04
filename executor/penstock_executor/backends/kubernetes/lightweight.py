"""Lightweight Python components in warm workers: what of a task's command is the worker's, and what is the attempt's
(docs/workers.md, "Lightweight Python components").

Invariants: pure. A command is recognised exactly or not at all, and any other runs as it is, in a worker too. Packages
are installed by the text that the SDK generated, so by the image's own pip, with what its variables say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.backends.generated_commands import generated_command

FIRST_PROCESS = "first_process.py"
"""In `WRAPPER_DIR`, and in `penstock_executor.agent`."""
WORKER = "worker"
"""In `WRAPPER_DIR`."""
CALLS = f"{SHARE}/call"
PACKAGES = "/penstock/packages"
PACKAGE_VARIABLES = {"PYTHONUSERBASE": PACKAGES}
"""Of the container that installs, and of `main`."""

_FLAGS = {"--quiet", "--no-warn-script-location", "--user", "--disable-pip-version-check", "--no-deps", "--pre"}
_FLAGS |= {"--no-index", "--upgrade", "-U"}
_WITH_VALUE = {"--index-url", "--extra-index-url", "-i", "--find-links", "-f", "--trusted-host"}


@dataclass(frozen=True, slots=True)
class Lightweight:
    """`install` is the command line that installs what the component needs, empty when that is nothing; it, `module`
    and `variables` (`NAME=VALUE`) are part of the worker's shape. `source` and `args` are the attempt's."""

    install: tuple[str, ...]
    module: str
    variables: tuple[str, ...]
    source: str
    args: tuple[str, ...]

    def first_process(self) -> list[str]:
        """How the worker's first process is started, without the options that each has (`--share` and so on)."""
        started = ["python3", f"{WRAPPER_DIR}/{FIRST_PROCESS}", "--worker", f"{WRAPPER_DIR}/{WORKER}"]
        set_there = [word for variable in self.variables for word in ("--variable", variable)]
        return [*started, "--module", self.module, *set_there]

    def program(self) -> list[str]:
        """What the wrapper runs in such a worker instead of the task's command and arguments."""
        called = [f"{WRAPPER_DIR}/{WORKER}", "--call", CALLS, "--"]
        return [*called, *self.variables, self.module, self.source, *self.args]


def lightweight_of(argv: Sequence[str]) -> Lightweight | None:
    """Of a task's command and arguments, resolved; None when they run as they are."""
    # What the installation's words name is expanded by the shell that installs, which has the task's variables.
    command = generated_command(argv, {})
    if command is None or command.own_environment or not all(map(_is_understood, command.installs)):
        return None
    # The generated text runs `"$0" "$@"` behind the installation.
    install = ("sh", "-c", command.script, "true") if command.script else ()
    variables = tuple(f"{name}={value}" for name, value in command.variables.items())
    return Lightweight(install, command.module, variables, command.source, command.args)


def _is_understood(words: Sequence[str]) -> bool:
    """Whether nothing in it leads to another place than the one for packages."""
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in _WITH_VALUE:
            position += 1
        elif word.startswith("-") and word not in _FLAGS and word.partition("=")[0] not in _WITH_VALUE:
            return False
    return True
