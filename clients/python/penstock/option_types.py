"""Types of options that click does not have: addresses, and texts that are checked.

Invariant: what cannot be read is a usage error that names the option.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @staticmethod
    def parse(text: str) -> Address:
        """Without a host it is 127.0.0.1. Raises ValueError."""
        host, separator, port = text.rpartition(":")
        if not separator or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return Address(host.strip("[]") or "127.0.0.1", int(port))


class AddressType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """An option of the form HOST:PORT, given as an `Address`; where it is `optional`, None for an empty text."""

    name = "HOST:PORT"

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        """As click wants it of every type."""
        if isinstance(value, Address):
            return value
        try:
            return None if self._optional and not value else Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CheckedText(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A text in the form that `normalize` gives it, which raises ValueError for what it refuses.

    `name` is how `--help` calls the value. Several in an environment variable are separated by commas.
    """

    envvar_list_splitter = ","

    def __init__(self, name: str, normalize: Callable[[str], str] = str) -> None:
        self.name = name
        self._normalize = normalize

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click wants it of every type."""
        try:
            return self._normalize(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
