"""The settings of a program as one table: a frozen dataclass in which `setting` makes each field a row.

Why: the option of the command line, the environment variable that stands for it, the type, the default and the help
belong to one setting, so they are written once. `options` makes click's options of the rows; click parses, and what it
hands to the command are the fields: `Settings(**values)`. `arguments` and `variables` are the way back, from values to
a command line and an environment, for `penstock up`, which starts the programs whose tables it offers.

Invariants: click alone reads the command line and the environment; nothing of a certain program is known here. What is
`secret` is in no `repr`, and is handed on in the environment, which other users of the machine cannot list as they can
list command lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class UpOption:
    """Says that `penstock up` offers the setting too; `help` and `default` are for what it says differently."""

    help: str = ""
    default: object = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A row. The parameters of `setting` explain its columns."""

    option: str
    variable: str
    help: str
    default: object
    default_in_words: str
    type: click.ParamType[Any] | None
    several: bool
    hidden: bool
    up: UpOption | None
    secret: bool

    def to_click(self, name: str) -> click.Option:
        """The option of click that gives the field `name`."""
        flag = "/" in self.option or isinstance(self.default, bool)
        shown = self.default_in_words or self.default not in (None, "")
        return click.Option(
            [self.option, name],
            type=self.type,
            default=self.default,
            envvar=self.variable,
            help=self.help or None,
            multiple=self.several,
            is_flag=flag or None,
            hidden=self.hidden,
            show_default=shown,
        )

    def in_up(self, offered: UpOption) -> Setting:
        """The row of `penstock up`. A default in words goes with the help that it was written for."""
        return replace(
            self,
            help=offered.help or self.help,
            default=self.default if offered.default is None else offered.default,
            default_in_words="" if offered.help else self.default_in_words,
        )


def setting(
    option: str,
    variable: str,
    help: str = "",
    *,
    default: object = "",
    default_in_words: str = "",
    type: click.ParamType[Any] | None = None,
    several: bool = False,
    hidden: bool = False,
    up: UpOption | None = None,
    secret: bool = False,
) -> Any:
    """A field that is a row of the table.

    `option` is as click declares it: `--lineage/--no-lineage` for what can be switched off. `variable` is the
    environment variable. `default` is what a user would give, None where the program finds out; `default_in_words` is
    shown in its place. `several` may be given, as a tuple. What is `hidden` is read and not listed by `--help`. A
    `secret` is a text that may hold a password.
    """
    if several:
        default = None
    row = Setting(option, variable, help, default, default_in_words, type, several, hidden, up, secret)
    return field(repr=not secret, metadata={"row": row})


def rows(table: type[Any]) -> dict[str, Setting]:
    """Of the dataclass `table`, by the names of the fields."""
    return {one.name: one.metadata["row"] for one in fields(table)}


def up_rows(tables: Sequence[Mapping[str, Setting]]) -> dict[str, Setting]:
    """What `penstock up` offers of these tables. Of a setting that several have, the first one's row is taken."""
    offered: dict[str, Setting] = {}
    for table in tables:
        for name, row in table.items():
            if row.up is not None:
                offered.setdefault(name, row.in_up(row.up))
    return offered


def options(table: Mapping[str, Setting]) -> list[click.Parameter]:
    """One for each row, in this order; click gives their values under the rows' names."""
    return [row.to_click(name) for name, row in table.items()]


def arguments(table: Mapping[str, Setting], values: Mapping[str, object]) -> list[str]:
    """A command line that gives the program of the table these values, which are named as its rows.

    What is None, empty or not named is left out: the variable or the default of the program holds. So are secrets, for
    which there is `variables`.
    """
    words: list[str] = []
    for name, row in table.items():
        value = None if row.secret else values.get(name)
        on, _, off = row.option.partition("/")
        if isinstance(value, bool):
            words += [word for word in (on if value else off,) if word]
        elif isinstance(value, (tuple, list)):
            words += [f"{on}={one}" for one in value]
        elif value not in (None, ""):
            words.append(f"{on}={value}")
    return words


def variables(table: Mapping[str, Setting], values: Mapping[str, object]) -> dict[str, str]:
    """The environment that gives the program of the table the secrets among these values, besides `arguments`."""
    return {row.variable: str(values[name]) for name, row in table.items() if row.secret and values.get(name)}
