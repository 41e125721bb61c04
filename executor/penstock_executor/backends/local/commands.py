"""What of the SDK's generated command lines runs in an environment that uv makes.

Why: run as it is, such a command spends most of its time in a pip that has nothing to install. Invariants: a command is
recognised exactly or not at all; any other runs unchanged, in an environment that has pip, and so does one with a
setting that only pip can follow. Variables in pip's options are expanded as the shell would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock_executor.backends.generated_commands import generated_command
from penstock_executor.backends.local.pip_settings import of_installations

_QUIET = {"--quiet", "--no-warn-script-location", "--user", "--disable-pip-version-check"}
_WITH_VALUE = {
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-i": "--index-url",
    "--find-links": "--find-links",
    "-f": "--find-links",
    "--trusted-host": "--allow-insecure-host",
}
_FLAGS = {"--no-deps": "--no-deps", "--pre": "--prerelease=allow", "--no-index": "--no-index"}


@dataclass(frozen=True, slots=True)
class LightweightCommand:
    """`installs` are argument lists for `uv pip install`, in order; `source` is the component's module, which the
    SDK's `module` runs with `args`; `variables` are set for that program alone."""

    installs: tuple[tuple[str, ...], ...]
    source: str
    module: str
    args: tuple[str, ...]
    variables: Mapping[str, str]


def recognise(argv: Sequence[str], variables: Mapping[str, str]) -> LightweightCommand | None:
    """The parts of a generated command line, or None when it is another one. `variables` are the task's."""
    command = generated_command(argv, variables)
    # Without an installation the SDK is the image's. Here every command has an environment of its own.
    if command is None or not command.installs or of_installations(variables) is None:
        return None
    installs = []
    for words in command.installs:
        arguments = _uv_arguments(words)
        if arguments is None:
            return None
        installs.append(arguments)
    return LightweightCommand(tuple(installs), command.source, command.module, command.args, command.variables)


def _uv_arguments(words: Sequence[str]) -> tuple[str, ...] | None:
    found: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        name, separator, value = word.partition("=")
        if word in _QUIET:
            continue
        if word in _FLAGS:
            found.append(_FLAGS[word])
        elif word in _WITH_VALUE and position < len(words):
            found += [_WITH_VALUE[word], words[position]]
            position += 1
        elif separator and name in _WITH_VALUE:
            found += [_WITH_VALUE[name], value]
        elif word.startswith("-"):
            return None
        else:
            found.append(word)
    return tuple(found)
