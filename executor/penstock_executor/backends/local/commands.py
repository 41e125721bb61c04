"""Recognises the command line that the SDK generates for lightweight Python components.

Why: run as it is, it spends most of its time letting pip find out that nothing is to be done. Invariant: recognised
exactly or not at all; anything else runs unchanged.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

_PRELUDE = re.compile(
    r'\s*if ! \[ -x "\$\(command -v pip\)" \]; then\s+'
    r"python3 -m ensurepip \|\| python3 -m ensurepip --user \|\| apt-get install python3-pip\s+fi\s+",
)
_PROGRAM = re.compile(
    r'\s*program_path=\$\(mktemp -d\)\s+printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"\s+'
    r"_KFP_RUNTIME=true python3 -m kfp\.dsl\.executor_main\s+"
    r'--component_module_path\s+"\$program_path/ephemeral_component\.py"\s+"\$@"\s*'
)
_INSTALL = ["python3", "-m", "pip", "install"]
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
    """`installs` are argument lists for `uv pip install`, in order; `source` is the component's module."""

    installs: tuple[tuple[str, ...], ...]
    source: str
    args: tuple[str, ...]


def recognise(argv: Sequence[str]) -> LightweightCommand | None:
    """The parts of a generated command line, or None when it is another one."""
    if len(argv) < 7 or list(argv[0:2]) != ["sh", "-c"] or list(argv[3:5]) != ["sh", "-ec"]:
        return None
    if not _PROGRAM.fullmatch(argv[5]):
        return None
    installs = _installs(argv[2])
    if installs is None:
        return None
    return LightweightCommand(installs, argv[6], tuple(argv[7:]))


def _installs(script: str) -> tuple[tuple[str, ...], ...] | None:
    match = _PRELUDE.match(script)
    if not match:
        return None
    try:
        words = shlex.split(script[match.end() :], posix=True)
    except ValueError:
        return None
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            groups.append([])
        else:
            groups[-1].append(word)
    if groups[-1] != ["$0", "$@"]:
        return None
    found = []
    for group in groups[:-1]:
        if group[:1] == ["PIP_DISABLE_PIP_VERSION_CHECK=1"]:
            group = group[1:]
        if group[:4] != _INSTALL:
            return None
        arguments = _uv_arguments(group[4:])
        if arguments is None:
            return None
        found.append(arguments)
    return tuple(found)


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
