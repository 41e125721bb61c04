"""Takes the command line apart that the SDK, 2.0 or later, generates for lightweight Python components.

Why: run as it is, such a command spends most of its time in a pip that has nothing to install, and in an import of the
SDK. Invariants: a command is recognised exactly or not at all. What is between the installations is the SDK's own text;
what each of them installs is for the backends to understand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from penstock_executor.backends.shell_words import NotPlainError, shell_words

_PRELUDE = re.compile(
    r'\s*if ! \[ -x "\$\(command -v pip\)" \]; then\s+'
    r"python3 -m ensurepip \|\| python3 -m ensurepip --user \|\| apt-get install python3-pip\s+fi\s+",
)
_PROGRAM = re.compile(
    r'\s*program_path=\$\(mktemp -d\)\s+printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"\s+'
    r"(?P<runtime>_KFP_RUNTIME=true )?python3 -m (?P<module>kfp\.(?:dsl|components)\.executor_main)\s+"
    r'--component_module_path\s+"\$program_path/ephemeral_component\.py"\s+"\$@"\s*'
)
# `use_venv`: what the component needs goes into an environment of its own.
_USE_VENV = re.compile(
    r"\s*export PIP_DISABLE_PIP_VERSION_CHECK=1\s+tmp=\$\(mktemp -d\)\s+"
    r'python3 -m venv "\$tmp/venv" --system-site-packages\s+\. "\$tmp/venv/bin/activate"\s+'
)
_END = re.compile(r'&& "\$0" "\$@"\s*')
_INSTALL = ["python3", "-m", "pip", "install"]


@dataclass(frozen=True, slots=True)
class GeneratedCommand:
    """`script` is the shell's text that installs and then runs `"$0" "$@"`, empty where nothing is installed;
    `installs` are the words behind each `pip install` of it, `own_environment` says that they go into one that it
    makes. `source` is the component's module, which the SDK's `module` runs with `args` and these `variables` set."""

    script: str
    installs: tuple[tuple[str, ...], ...]
    own_environment: bool
    source: str
    module: str
    args: tuple[str, ...]
    variables: Mapping[str, str]


def generated_command(argv: Sequence[str], variables: Mapping[str, str]) -> GeneratedCommand | None:
    """The parts of a generated command line, or None when it is another one. `variables` are those that the words of
    its installations may name."""
    script, installation = "", _Installation((), own_environment=False)
    rest = list(argv)
    if len(rest) >= 7 and rest[0:2] == ["sh", "-c"]:
        script, rest = rest[2], rest[3:]
        found = _installation(script, tuple(variables.items()))
        if found is None:
            return None
        installation = found
    program = _PROGRAM.fullmatch(rest[2]) if len(rest) >= 4 and rest[0:2] == ["sh", "-ec"] else None
    if program is None:
        return None
    runtime = {"_KFP_RUNTIME": "true"} if program["runtime"] else {}
    args = tuple(rest[4:])
    return GeneratedCommand(
        script, installation.installs, installation.own_environment, rest[3], program["module"], args, runtime
    )


class _Installation(NamedTuple):
    installs: tuple[tuple[str, ...], ...]
    own_environment: bool


# The tasks of a loop have the same text.
@lru_cache(maxsize=128)
def _installation(script: str, variables: tuple[tuple[str, str], ...]) -> _Installation | None:
    prelude, end = _PRELUDE.match(script), _END.search(script)
    if not prelude or not end or end.end() != len(script):
        return None
    commands, found = _USE_VENV.subn(" ", script[prelude.end() : end.start()], count=1)
    installs: list[tuple[str, ...]] = []
    for command in re.split(r"\s&&\s", commands):
        words = _install_words(command, dict(variables))
        if words is None:
            return None
        installs.append(words)
    return _Installation(tuple(installs), bool(found))


def _install_words(command: str, variables: Mapping[str, str]) -> tuple[str, ...] | None:
    try:
        words = shell_words(command, variables)
    except NotPlainError:
        return None
    if words[:1] == ["PIP_DISABLE_PIP_VERSION_CHECK=1"]:
        words = words[1:]
    return tuple(words[4:]) if words[:4] == _INSTALL else None
