"""What a run was given, as lists of runs are filtered by it.

Why apart from the arguments themselves: a filter needs short texts and numbers that an index can hold. Invariant: a
value that is too long for one is not found by its text; nothing is cut, so nothing is found by a part of a text that
looks like the whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

LONGEST = 255
"""Characters of a name and of a text."""
_MOST = 500


@dataclass(frozen=True, slots=True)
class SearchableParameter:
    """`text` is a string as it is, any other value as JSON. `number` is that of a number."""

    name: str
    text: str
    number: float | None = None


def searchable(arguments: Mapping[str, Any]) -> list[SearchableParameter]:
    """The first 500 of the arguments that a filter can find."""
    return list(islice(_fitting(arguments), _MOST))


def _fitting(arguments: Mapping[str, Any]) -> Iterator[SearchableParameter]:
    for name, value in arguments.items():
        text = value if isinstance(value, str) else _json(value)
        if max(len(name), len(text)) <= LONGEST and "\x00" not in name + text:
            yield SearchableParameter(name, text, _number(value))


def number_of(text: str) -> float | None:
    """The number that a filter's value names, None when it names none."""
    if "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
