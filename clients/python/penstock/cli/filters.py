"""Filters of lists, from what is written on the command line (docs/contract/api.md, 2.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypedDict
from urllib.parse import quote

import click

_OPERATIONS = {
    "=": "EQUALS",
    "!=": "NOT_EQUALS",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_EQUALS",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_EQUALS",
}
_COMPARISON = re.compile(r"([^=!<>]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


class Predicate(TypedDict):
    """One condition of a filter."""

    operation: str
    key: str
    string_value: str


def equal(key: str, value: str) -> Predicate:
    """The key has this value."""
    return {"operation": "EQUALS", "key": key, "string_value": value}


def of_parameter(comparison: str) -> Predicate:
    """What `rate>=0.1` says of a run's parameter. Raises BadParameter."""
    match = _COMPARISON.fullmatch(comparison)
    if match is None:
        raise click.BadParameter(f"{comparison!r} is no comparison such as rate>=0.1", param_hint="--parameter")
    name, operation, value = match.groups()
    return {"operation": _OPERATIONS[operation], "key": f"parameters.{name.strip()}", "string_value": value.strip()}


def filter_text(predicates: Sequence[Predicate]) -> str:
    """The filter for which all of them must hold."""
    text = json.dumps({"predicates": predicates})
    # The server unescapes a filter with a percent sign once.
    return quote(text) if "%" in text else text
