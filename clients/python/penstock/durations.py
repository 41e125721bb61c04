"""Lengths of time as people write them on a command line."""

from __future__ import annotations

import re

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Seconds, from a whole number and one of s, m, h, d: `90d`."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click wants it of every type."""
        if isinstance(value, (int, float)):
            return float(value)
        match = _FORM.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a length of time, such as 12h or 30d", param, ctx)
        return float(int(match.group(1)) * _UNITS[match.group(2)])
