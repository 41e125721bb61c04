"""JSON text from tasks and documents to plain values, and what a number is.

Why: Python's parser takes NaN and Infinity, lets the last of two equal keys win, and makes a fraction of 1e18. Whoever
reads a value that comes from outside reads it here, so that they are treated alike wherever they stand.

Invariants: only what JSON can say comes out. A number that is whole is an int, with every digit that was written or,
where doubles were on the way, that the double holds. What is refused is named by its place. A value that nests at most
MAX_DEPTH lists and objects can be written to, and read from, every message that carries it, by every client.
"""

from __future__ import annotations

import json
import math
from typing import Any, Union

from penstock_ir.model import JsonValue

MAX_DEPTH = 30
"""How many lists and objects may be nested in a value, and in a pipeline document.

Protocol buffers are read to 100 levels by most libraries. An object in a google.protobuf.Struct takes three of them
(the Struct, the entry of its map, the Value), a list two, and the message with the most around a value is a reply of ML
Metadata about an artifact, with eight: 8 + 3 * 30 = 98.
"""
_SHOWN_KEYS = 8
_WHOLE_LIMIT = 1e21
_Place = Union[str, tuple["_Place", Union[str, int]]]


class JsonTextError(ValueError):
    """A text that is no JSON, or a value that JSON does not have; the message names the place."""


class _Doubled(dict[str, Any]):
    """An object in which a key stands twice."""

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


def plain_value(value: Any, place: str) -> JsonValue:
    """JSON values of Python as they are passed on: whole numbers are ints, keys keep their order.

    Raises JsonTextError for NaN, Infinity, keys that stand twice, and texts that cannot be written as UTF-8.
    """
    return _plain(value, place)


def check_depth(value: Any, place: str) -> None:
    """Raises JsonTextError for a value of more than MAX_DEPTH nested lists and objects."""
    if _too_deep(value, MAX_DEPTH):
        raise JsonTextError(f"{place} is nested deeper than {MAX_DEPTH} levels")


def within_depth(value: Any, levels: int) -> Any:
    """The value, with what is nested deeper as JSON text: for messages that carry what nobody checked."""
    return _cut(value, levels) if _too_deep(value, levels) else value


def deep_place(value: Any, levels: int) -> str:
    """The dotted keys that lead to what is nested deeper than `levels`, as far as they are keys; empty for nothing."""
    if not _too_deep(value, levels):
        return ""
    keys: list[str] = []
    while isinstance(value, dict) and len(keys) < _SHOWN_KEYS:
        levels -= 1
        key = next(key for key, inside in value.items() if _too_deep(inside, levels))
        keys.append(key[:80])
        value = value[key]
    return ".".join(keys)


def plain_number(value: float) -> int | float:
    """Whole numbers as int, so that 2 does not become 2.0, nor 10^18 become 1e+18, on its way through doubles.

    From 10^21 on a double is no count of anything, and every JSON writer turns to exponents.
    """
    return int(value) if value.is_integer() and abs(value) < _WHOLE_LIMIT else value


def _too_deep(value: Any, levels: int) -> bool:
    """Without recursion: the value may be as deep as its parser takes it."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        level = [
            inside
            for one in level
            for inside in (one.values() if isinstance(one, dict) else one)
            if isinstance(inside, (dict, list))
        ]
        if not level:
            return False
    return bool(level)


def _cut(value: Any, levels: int) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    if levels == 0:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, dict):
        return {key: _cut(inside, levels - 1) for key, inside in value.items()}
    return [_cut(inside, levels - 1) for inside in value]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled, seen = _Doubled(found), set[str]()
    doubled.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


def _plain(value: Any, place: _Place) -> JsonValue:
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, float):
        if not math.isfinite(value):
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            raise JsonTextError(f"{_written(place)} is {name}, which is no number that JSON has")
        return plain_number(value)
    if isinstance(value, dict):
        if isinstance(value, _Doubled):
            raise JsonTextError(f"{_written(place)} has the key {value.key[:80]!r} twice")
        return {_text(key, place): _plain(item, (place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, (place, index)) for index, item in enumerate(value)]
    return value


def _text(value: str, place: _Place) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise JsonTextError(f"{_written(place)} holds half of a surrogate pair, which is no text") from error
    return value


def _written(place: _Place) -> str:
    parts: list[str] = []
    while not isinstance(place, str):
        place, key = place
        shown = key if isinstance(key, int) else repr(key if len(key) <= 80 else key[:77] + "...")
        parts.append(f"[{shown}]")
    return place + "".join(reversed(parts))
