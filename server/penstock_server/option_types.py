"""Types of command line options. Invariant: a value that cannot be parsed is a usage error."""

from __future__ import annotations

from collections.abc import Callable

import click

from penstock_server.config import Address


class AddressType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """An option of the form HOST:PORT, given as an `Address`."""

    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Checked(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A text in the form that `normal` gives it; several in an environment variable stand with commas."""

    envvar_list_splitter = ","

    def __init__(self, name: str, normal: Callable[[str], str]) -> None:
        self.name = name
        self._normal = normal

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return self._normal(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Deployment(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """The variable's name is a common one: in the environment a value that is none of these says nothing of the UI."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        source = ctx.get_parameter_source(param.name or "") if ctx is not None and param is not None else None
        if source is click.core.ParameterSource.ENVIRONMENT and str(value).upper() not in self.choices:
            return ""
        return str(super().convert(value, param, ctx))
