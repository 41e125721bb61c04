"""Role bindings from a file: what is understood, what is refused, and a file that changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_server.access.role_file import parse, watch
from penstock_server.access.roles import Binding
from penstock_server.domain.caller import Role
from penstock_server.errors import InvalidArgumentError

TEXT = """
roles:
- {role: editor, namespaces: [team-a, team-b], users: [ann], groups: [ml]}
- {role: admin, namespaces: ["*"], users: [root]}
"""


def test_each_entry_is_a_binding_for_every_namespace_and_subject() -> None:
    assert parse(TEXT) == (
        Binding(Role.EDITOR, "team-a", user="ann"),
        Binding(Role.EDITOR, "team-b", user="ann"),
        Binding(Role.EDITOR, "team-a", group="ml"),
        Binding(Role.EDITOR, "team-b", group="ml"),
        Binding(Role.ADMIN, "*", user="root"),
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[]", "roles"),
        ("roles: {}\nmore: 1", "roles"),
        ("roles: 3", "roles"),
        ("roles: [3]", r"roles\[0\]"),
        ("roles: [{role: owner, namespaces: [a], users: [b]}]", r"roles\[0\].role"),
        ("roles: [{role: viewer, users: [b]}]", r"roles\[0\].namespaces"),
        ("roles: [{role: viewer, namespaces: [], users: [b]}]", r"roles\[0\].namespaces"),
        ("roles: [{role: viewer, namespaces: [a]}]", r"roles\[0\]"),
        ("roles: [{role: viewer, namespaces: [a], users: ann}]", r"roles\[0\].users"),
        ("roles: [{role: viewer, namespaces: [a], users: [b], verbs: [get]}]", r"roles\[0\]"),
        ("roles: [", "no YAML"),
        ("[" * 5000, "no YAML"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_field(text: str, field: str) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        parse(text)


def test_a_changed_file_holds_and_a_wrong_one_leaves_the_roles(tmp_path: Path) -> None:
    path = tmp_path / "roles.yaml"
    path.write_text(TEXT)
    roles = watch(path, interval=0)
    assert len(roles.current()) == 5
    path.write_text("roles: [{role: viewer, namespaces: [a], users: [b]}]")
    assert roles.current() == (Binding(Role.VIEWER, "a", user="b"),)
    path.write_text("roles: [nonsense]")
    assert roles.current() == (Binding(Role.VIEWER, "a", user="b"),)
    path.unlink()
    assert roles.current() == (Binding(Role.VIEWER, "a", user="b"),)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"none\.yaml"):
        watch(tmp_path / "none.yaml")
