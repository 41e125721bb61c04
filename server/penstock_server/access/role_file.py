"""Role bindings in a YAML file, for installations that keep them under version control.

The file is a list under `roles`; each entry has `role` (viewer, editor, admin), `namespaces` (`*` for all), and
`users`, `groups`, or both. Invariants: a file with an entry that is not understood is refused as a whole, with its
field; a file that changes is read again within seconds (`watched_files`), and one that has become wrong leaves the
bindings as they were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from penstock.watched_files import Watched

from penstock_server.access.roles import Binding
from penstock_server.domain.caller import Role
from penstock_server.errors import InvalidArgumentError

_MAX_BYTES = 1024 * 1024
_RECHECK_SECONDS = 2.0


def watch(path: Path, interval: float = _RECHECK_SECONDS) -> Watched[tuple[Binding, ...]]:
    """The bindings of the file; `interval` is in seconds. Raises InvalidArgumentError for one that cannot be used."""
    refused = (InvalidArgumentError,)
    return Watched("roles", [path], lambda: parse(_read(path)), refused=refused, interval=interval)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InvalidArgumentError(f"{path} is larger than {_MAX_BYTES} bytes", "role-file")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path}: {error}", "role-file") from error


def parse(text: str) -> tuple[Binding, ...]:
    """Raises InvalidArgumentError with the entry that is wrong."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidArgumentError(f"no YAML: {error}", "role-file") from error
    if document is None:
        return ()
    if not isinstance(document, dict) or set(document) - {"roles"}:
        raise InvalidArgumentError("the file has one key, `roles`, with a list", "role-file")
    entries = document.get("roles") or []
    if not isinstance(entries, list):
        raise InvalidArgumentError("a list is needed", "roles")
    return tuple(binding for index, entry in enumerate(entries) for binding in _entry(entry, f"roles[{index}]"))


def _entry(entry: Any, field: str) -> list[Binding]:
    if not isinstance(entry, dict) or set(entry) - {"role", "namespaces", "users", "groups"}:
        raise InvalidArgumentError("an entry has role, namespaces, users and groups", field)
    try:
        role = Role(entry.get("role"))
    except ValueError as error:
        names = ", ".join(role.value for role in Role)
        raise InvalidArgumentError(f"it must be one of {names}", f"{field}.role") from error
    namespaces = _names(entry.get("namespaces"), f"{field}.namespaces")
    users, groups = (_names(entry.get(key, []), f"{field}.{key}") for key in ("users", "groups"))
    if not namespaces:
        raise InvalidArgumentError("name at least one namespace, or '*' for all", f"{field}.namespaces")
    if not users and not groups:
        raise InvalidArgumentError("name users, groups or both", field)
    return [
        *(Binding(role, namespace, user=user) for namespace in namespaces for user in users),
        *(Binding(role, namespace, group=group) for namespace in namespaces for group in groups),
    ]


def _names(value: Any, field: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise InvalidArgumentError("a list of names is needed", field)
    return value
