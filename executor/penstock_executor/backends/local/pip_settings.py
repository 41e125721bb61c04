"""What pip's variables and configuration files set, and which of it can be told to uv.

Why: uv installs what a recognised command asks for, pip what a task installs by itself. Both must install the same, and
uv reads neither pip's variables nor its files.

Invariants: a setting that changes what is installed is either passed on to uv, or the command is left to pip alone.
What a file says holds from the next task on: one that was read is read again when it has changed.
"""

from __future__ import annotations

import configparser
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

# Name for uv there, separator of lists there. Not UV_DEFAULT_INDEX: it outweighs `--index-url`.
FOR_UV = {
    "PIP_INDEX_URL": ("UV_INDEX_URL", " "),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", " "),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS", ","),
    "PIP_TRUSTED_HOST": ("UV_INSECURE_HOST", " "),
    "PIP_CERT": ("SSL_CERT_FILE", " "),
}
_NO = ("", "0", "false", "no", "off", "n", "f")
_TOLD = {*FOR_UV, "PIP_NO_INDEX"}
# How pip goes about it, or what an environment of its own makes pointless: not what is installed.
_OTHERWISE_THE_SAME = {
    *("PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_COMPILE", "PIP_NO_COMPILE", "PIP_EXISTS_ACTION"),
    *("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES", "PIP_RESUME_RETRIES", "PIP_NO_INPUT", "PIP_LOG"),
    *("PIP_QUIET", "PIP_VERBOSE", "PIP_NO_COLOR", "PIP_PROGRESS_BAR", "PIP_NO_WARN_SCRIPT_LOCATION"),
    *("PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_PYTHON_VERSION_WARNING", "PIP_ROOT_USER_ACTION"),
    *("PIP_USER", "PIP_BREAK_SYSTEM_PACKAGES", "PIP_REQUIRE_VIRTUALENV", "PIP_REQUIRE_VENV"),
}

# By a change within so short a time a file's status does not differ on every file system.
_SETTLED_SECONDS = 2.0
_REMEMBERED_FILES = 64
_Sections: TypeAlias = "Mapping[str, Mapping[str, str]] | None"
_read_before: dict[tuple[str, int, int, int, int], _Sections] = {}


def of_installations(variables: Mapping[str, str]) -> dict[str, str] | None:
    """What uv has to be told, by the names of pip's variables; None when something is set that only pip can follow."""
    files = _from_files(variables)
    if files is None:
        return None
    # Pip takes what is empty for not set.
    found = {**files, **{name: value for name, value in variables.items() if name.startswith("PIP_")}}
    found = {name: value for name, value in found.items() if value.strip() and name not in _OTHERWISE_THE_SAME}
    if found.keys() - _TOLD:
        return None
    if found.get("PIP_NO_INDEX", "0").lower() in _NO:
        found.pop("PIP_NO_INDEX", None)
    return found


def _from_files(variables: Mapping[str, str]) -> dict[str, str] | None:
    """As variables; None when pip itself would not understand them."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _files(variables):
        try:
            sections = _sections(file)
        except (OSError, ValueError):
            return None
        if sections is None:
            return None
        for section, values in sections.items():
            found[section].update(values)
    return {**found["global"], **found["install"]}


def _sections(file: str) -> _Sections:
    """Of a file, none of one that is not there; None when pip itself would not understand it. Raises OSError."""
    try:
        status = os.stat(file)  # noqa: PTH116 - asked for every task
    except (FileNotFoundError, NotADirectoryError):
        return {}
    key = (file, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _read_before:
        sections = _read(Path(file))
        if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED_SECONDS:
            return sections
        if len(_read_before) >= _REMEMBERED_FILES:
            _read_before.clear()
        _read_before[key] = sections
    return _read_before[key]


def _read(file: Path) -> _Sections:
    """Raises OSError."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, configparser.Error):
        return None
    return {
        section: {_variable(name): value for name, value in parser.items(section)}
        for section in ("global", "install")
        if parser.has_section(section)
    }


def _files(variables: Mapping[str, str]) -> list[str]:
    """Those that pip reads in a task with these variables, the most important last; its home has none."""
    named = variables.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    if sys.platform == "darwin":
        places = ["/Library/Application Support/pip"]
    else:
        listed = variables.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        places = [*(f"{one}/pip" for one in listed.split(os.pathsep) if one), "/etc"]
    return [*(f"{place}/pip.conf" for place in places), *([named] if named else [])]


def _variable(name: str) -> str:
    return "PIP_" + name.removeprefix("--").replace("-", "_").upper()
