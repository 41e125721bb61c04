"""docs/commands.md and docs/settings.md are what the programs say; what they say of the same setting is the same."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tools import reference

PAGES = reference.pages()
SETTINGS = [(name, option) for name, command in reference.programs() for option in reference.settings(command)]
# Of `penstock up`: its terminal is for people; its executor needs no port that anybody could guess.
ANOTHER_DEFAULT = {"PENSTOCK_LOG_LEVEL", "PENSTOCK_DISPATCH"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_programs_say(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run `make reference`"


@pytest.mark.parametrize(("program", "option"), SETTINGS, ids=lambda one: getattr(one, "name", one))
def test_every_setting_has_a_variable_and_says_what_it_means(program: str, option: click.Option) -> None:
    assert reference.variable(option) or option.opts[0] in ("--ready-fd", "--once"), option.opts
    assert option.help or option.hidden, option.opts


def test_a_variable_means_the_same_in_every_program() -> None:
    seen: dict[str, tuple[object, ...]] = {}
    differing = []
    for program, option in SETTINGS:
        name = reference.variable(option)
        shape = (option.default, option.multiple, option.is_flag)
        if name and name not in ANOTHER_DEFAULT and seen.setdefault(name, shape) != shape:
            differing.append((program, name, shape, seen[name]))
    assert differing == []
