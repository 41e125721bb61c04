"""Recognises the command line that the SDK, 2.0 or later, generates for lightweight Python components.

Why: run as it is, such a command spends most of its time in a pip that has nothing to install. Invariants: a command is
recognised exactly or not at all; any other runs unchanged, in an environment that has pip, and so does one with a
setting that only pip can follow. Variables in pip's options are expanded as the shell would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock_executor.backends.local.pip_settings import of_installations
from penstock_executor.backends.local.shell_words import NotPlainError, shell_words

_PRELUDE = re.compile(
    r'\s*if ! \[ -x "\$\(command -v pip\)" \]; then\s+'
    r"python3 -m ensurepip \|\| python3 -m ensurepip --user \|\| apt-get install python3-pip\s+fi\s+",
)
_PROGRAM = re.compile(
    r'\s*program_path=\$\(mktemp -d\)\s+printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"\s+'
    r"(?P<runtime>_KFP_RUNTIME=true )?python3 -m (?P<module>kfp\.(?:dsl|components)\.executor_main)\s+"
    r'--component_module_path\s+"\$program_path/ephemeral_component\.py"\s+"\$@"\s*'
)
# `use_venv`: what the component needs goes into an environment of its own, as it does here in any case.
_USE_VENV = re.compile(
    r"\s*export PIP_DISABLE_PIP_VERSION_CHECK=1\s+tmp=\$\(mktemp -d\)\s+"
    r'python3 -m venv "\$tmp/venv" --system-site-packages\s+\. "\$tmp/venv/bin/activate"\s+'
)
_END = re.compile(r'&& "\$0" "\$@"\s*')
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
    """`installs` are argument lists for `uv pip install`, in order; `source` is the component's module, which the
    SDK's `module` runs with `args`; `variables` are set for that program alone."""

    installs: tuple[tuple[str, ...], ...]
    source: str
    module: str
    args: tuple[str, ...]
    variables: Mapping[str, str]


def recognise(argv: Sequence[str], variables: Mapping[str, str]) -> LightweightCommand | None:
    """The parts of a generated command line, or None when it is another one. `variables` are the task's."""
    installs: tuple[tuple[str, ...], ...] | None = ()
    rest = list(argv)
    if len(rest) >= 7 and rest[0:2] == ["sh", "-c"]:
        installs, rest = _installs(rest[2], variables), rest[3:]
    if installs is None or len(rest) < 4 or rest[0:2] != ["sh", "-ec"]:
        return None
    program = _PROGRAM.fullmatch(rest[2])
    # Without an installation the SDK is the image's.
    if program is None or not installs or of_installations(variables) is None:
        return None
    runtime = {"_KFP_RUNTIME": "true"} if program["runtime"] else {}
    return LightweightCommand(installs, rest[3], program["module"], tuple(rest[4:]), runtime)


def _installs(script: str, variables: Mapping[str, str]) -> tuple[tuple[str, ...], ...] | None:
    prelude = _PRELUDE.match(script)
    end = _END.search(script)
    if not prelude or not end or end.end() != len(script):
        return None
    commands = _USE_VENV.sub(" ", script[prelude.end() : end.start()], count=1)
    found = []
    for command in re.split(r"\s&&\s", commands):
        try:
            words = shell_words(command, variables)
        except NotPlainError:
            return None
        if words[:1] == ["PIP_DISABLE_PIP_VERSION_CHECK=1"]:
            words = words[1:]
        arguments = _uv_arguments(words[4:]) if words[:4] == _INSTALL else None
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
