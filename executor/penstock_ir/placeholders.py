"""Finds and replaces placeholders `{{$…}}` in text (executor.md §1.10).

Invariants: every text is scanned once, so a value that looks like a placeholder is never expanded. An unknown
placeholder stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock_ir.model import JsonValue

_PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_PARAMETER = re.compile(r"\.inputs\.parameters\[(['\"])(?P<name>.*?)\1\]$", re.DOTALL)


def substitute(text: str, lookup: Callable[[str], str | None]) -> str:
    """Replaces every `{{$…}}` by `lookup("…")`; None leaves it alone. One pass."""
    if "{{$" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        replacement = lookup(match.group(1).strip())
        return match.group(0) if replacement is None else replacement

    return _PLACEHOLDER.sub(replace, text)


def parameter_name(expression: str) -> str | None:
    """The name in `.inputs.parameters['name']`, or None when the expression is another one."""
    match = _PARAMETER.match(expression)
    return match.group("name") if match else None


def resolve_value(value: JsonValue, lookup: Callable[[str], str | None]) -> JsonValue:
    """`substitute` in every string of a JSON value, keys included; no value can change the structure itself."""
    if isinstance(value, str):
        return substitute(value, lookup)
    if isinstance(value, list):
        return [resolve_value(item, lookup) for item in value]
    if isinstance(value, dict):
        return {substitute(key, lookup): resolve_value(item, lookup) for key, item in value.items()}
    return value
