"""Parses JSON of tasks and documents strictly, with integers kept as integers.

Why: Python's parser accepts NaN and Infinity, keeps the last of duplicate keys, and reads 1e18 as a float. All values
from outside are read here, so that the same rules hold everywhere.

Invariants: the result is valid JSON. A whole number is an int, with all digits of the text or, if it was a double on
its way, of the double. An error names the path of the value. Every message and every client can carry a value that
nests at most MAX_DEPTH lists and objects.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Union

from penstock_ir.model import JsonValue

MAX_DEPTH = 30
"""How many lists and objects may be nested in a value, and in a pipeline document.

Protocol buffers are read to 100 levels by most libraries. An object in a google.protobuf.Struct takes three of them
(the Struct, the entry of its map, the Value), a list two, and the message with the most around a value is a reply of ML
Metadata about an artifact, with eight: 8 + 3 * 30 = 98.
"""
MAX_VALUES = 1_000_000
"""How many values, those inside of lists and objects included, a text or message may have."""
_SHOWN_KEYS = 8
_WHOLE_LIMIT = 1e21
_MARKS = (b",", b"[", b"{")
_QUOTES = re.compile(rb'\\.|"', re.DOTALL)
_JsonPath = Union[str, tuple["_JsonPath", Union[str, int]]]


class JsonTextError(ValueError):
    """A text is no JSON, or a value is none that JSON has; the message names the path of the value."""


class _ObjectWithDuplicateKey(dict[str, Any]):
    """An object whose text has the key `key` twice."""

    key: str


def parse_json(text: str, place: str) -> JsonValue:
    """The value of a JSON text. `place` is what the text is called in errors. Raises JsonTextError."""
    try:
        return plain_value(json.loads(text, object_pairs_hook=_object), place)
    except RecursionError as error:
        raise JsonTextError(f"{place} is nested too deeply") from error
    except JsonTextError:
        raise
    except ValueError as error:
        raise JsonTextError(f"{place} is no valid JSON: {error}") from error


def has_too_many_values(text: bytes, limit: int = MAX_VALUES) -> bool:
    """Whether a JSON text has more values than `limit`, told without making any of them.

    Every value but the first stands behind a comma, a bracket or a brace. They are counted outside of strings, which is
    slower, only when there are too many with those in strings.
    """
    if _marks(text, 0, len(text)) < limit:
        return False
    marks, behind_string, in_string = 0, 0, False
    for count, found in enumerate(_QUOTES.finditer(text)):
        # What has more of them takes long to tell, and is none that anybody writes.
        if count > 8 * limit:
            return True
        if found.group() != b'"':
            continue
        if in_string:
            behind_string = found.end()
        else:
            marks += _marks(text, behind_string, found.start())
            if marks >= limit:
                return True
        in_string = not in_string
    return not in_string and marks + _marks(text, behind_string, len(text)) >= limit


def _marks(text: bytes, begin: int, end: int) -> int:
    return sum(text.count(mark, begin, end) for mark in _MARKS)


def plain_value(value: Any, place: str) -> JsonValue:
    """A parsed JSON value in its normal form: whole numbers are ints, keys keep their order.

    Raises JsonTextError for NaN, Infinity, duplicate keys, and text that cannot be encoded as UTF-8.
    """
    return _plain(value, place)


def check_depth(value: Any, place: str) -> None:
    """Raises JsonTextError for a value of more than MAX_DEPTH nested lists and objects."""
    if _is_too_deep(value, MAX_DEPTH):
        raise JsonTextError(f"{place} is nested deeper than {MAX_DEPTH} levels")


def within_depth(value: Any, levels: int) -> Any:
    """The value, in which lists and objects nested deeper than `levels` are JSON text instead."""
    return _flatten_below(value, levels) if _is_too_deep(value, levels) else value


def path_to_deep_value(value: Any, levels: int) -> str:
    """The dotted keys that lead to a value nested deeper than `levels`, up to the first list; empty if there is
    none.
    """
    if not _is_too_deep(value, levels):
        return ""
    keys: list[str] = []
    while isinstance(value, dict) and len(keys) < _SHOWN_KEYS:
        levels -= 1
        key = next(key for key, nested in value.items() if _is_too_deep(nested, levels))
        keys.append(key[:80])
        value = value[key]
    return ".".join(keys)


def plain_number(value: float) -> int | float:
    """Whole numbers as int, so that 2 does not become 2.0, nor 10^18 become 1e+18, on its way through doubles.

    From 10^21 on JSON writers use exponents, so larger ones stay floats.
    """
    return int(value) if value.is_integer() and abs(value) < _WHOLE_LIMIT else value


def _is_too_deep(value: Any, levels: int) -> bool:
    """Without recursion, since a parser may return values deeper than Python's recursion limit."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        level = [
            nested
            for container in level
            for nested in (container.values() if isinstance(container, dict) else container)
            if isinstance(nested, (dict, list))
        ]
        if not level:
            return False
    return bool(level)


def _flatten_below(value: Any, levels: int) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    if levels == 0:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, dict):
        return {key: _flatten_below(nested, levels - 1) for key, nested in value.items()}
    return [_flatten_below(nested, levels - 1) for nested in value]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    duplicate, seen = _ObjectWithDuplicateKey(document), set[str]()
    duplicate.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return duplicate


def _plain(value: Any, place: _JsonPath) -> JsonValue:
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, float):
        if not math.isfinite(value):
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            raise JsonTextError(f"{_path_text(place)} is {name}, which is no number that JSON has")
        return plain_number(value)
    if isinstance(value, dict):
        if isinstance(value, _ObjectWithDuplicateKey):
            raise JsonTextError(f"{_path_text(place)} has the key {value.key[:80]!r} twice")
        return {_text(key, place): _plain(item, (place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, (place, index)) for index, item in enumerate(value)]
    return value


def _text(value: str, place: _JsonPath) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise JsonTextError(f"{_path_text(place)} holds half of a surrogate pair, which is no text") from error
    return value


def _path_text(place: _JsonPath) -> str:
    parts: list[str] = []
    while not isinstance(place, str):
        place, key = place
        shown = key if isinstance(key, int) else repr(key if len(key) <= 80 else key[:77] + "...")
        parts.append(f"[{shown}]")
    return place + "".join(reversed(parts))
