"""Patterns of names, in which administrators say what tasks may use (docs/pods.md, "What tasks may use").

A pattern is a name in which `*` stands for any characters, none and `/` included. Everything else stands for itself,
upper and lower case differ, and the whole name has to match. A list holds patterns separated by commas or white space.

Why not fnmatch: there `?` and `[` have meanings of their own, and URIs have both.

Invariants: pure; matching takes time in proportion to the lengths of pattern and name, whatever a pipeline's author
gives for a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[,\s]+")


def parse_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a list; none for a text without one."""
    return tuple(filter(None, _SEPARATORS.split(text)))


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Whether a pattern matches the whole name."""
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    last = rest.pop()
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in rest:
        # The first place is the best: it leaves most of the name to the parts that follow.
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
