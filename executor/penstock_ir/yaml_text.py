"""Parses untrusted YAML and JSON text.

Invariants: the result has JSON types only (dates and other types of YAML 1.1 stay text). Values are built from the
parser's events one by one, and reading stops at the first one that is too many, nested too deeply, or too many with
aliases expanded: a bomb costs no more than what was read of it. Duplicate keys are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.nodes import ScalarNode

from penstock_ir.errors import InvalidSpecError, Problem, TooManyValuesError
from penstock_ir.json_text import MAX_VALUES, plain_number
from penstock_ir.model import JsonValue

MAX_DOCUMENTS = 16
MAX_DEPTH = 200
MAX_DIGITS = 400
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _JsonLoader(_BASE):  # type: ignore[misc]
    """Resolves plain scalars the way JSON would: null, true/false, integers, decimals; everything else is text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class _JsonDumper(_DUMPER_BASE):  # type: ignore[misc]
    """Quotes text that YAML 1.1 or the loader above would resolve to another type."""


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", list("-+0123456789.")),
):
    for _class in (_JsonLoader, _JsonDumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def documents(text: str, max_values: int = MAX_VALUES) -> list[JsonValue]:
    """All documents in a text, empty ones left out.

    Raises InvalidSpecError; TooManyValuesError for more values than `max_values`, aliases expanded.
    """
    loader = _JsonLoader(text)
    try:
        return [value for value in _Reader(loader, max_values).documents() if value is not None]
    except yaml.YAMLError as error:
        raise _invalid(_where(error)) from error
    except ValueError as error:
        raise _invalid(str(error)) from error
    finally:
        loader.dispose()


def to_yaml(value: JsonValue) -> str:
    """JSON as YAML text that `documents` reads back as it was; keys keep their order."""
    text: str = yaml.dump(value, Dumper=_JsonDumper, sort_keys=False, allow_unicode=True, width=2**20)
    return text


@dataclass(slots=True)
class _Open:
    """A list or object that has not ended yet. `size` and `height` are those of what is in it so far."""

    value: Any
    anchor: str | None
    size: int = 1
    height: int = 0
    key: str | None = None


class _Reader:
    """Builds values from the events of the parser. `_anchors` holds values with size and height; None while open."""

    def __init__(self, loader: Any, max_values: int) -> None:
        self._loader = loader
        self._max_values = max_values
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}
        self._nodes = 0
        self._found: list[JsonValue] = []

    def documents(self) -> list[JsonValue]:
        begun = 0
        while not isinstance(event := self._loader.get_event(), StreamEndEvent):
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, CollectionStartEvent):
                self._start(event)
            elif isinstance(event, CollectionEndEvent):
                self._end()
            elif isinstance(event, DocumentStartEvent):
                self._anchors = {}
                begun += 1
                if begun > MAX_DOCUMENTS:
                    raise _invalid(f"it has more than {MAX_DOCUMENTS} documents")
        return self._found

    def _scalar(self, event: Any) -> None:
        self._count(event, 1, 1)
        if self._awaits_key():
            # An alias in place of a key stands for its text.
            value: JsonValue = event.value
        else:
            tag = event.tag
            if tag is None or tag == "!":
                tag = self._loader.resolve(ScalarNode, event.value, event.implicit)
            value = _scalar(event, tag, event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1, 1)
        self._add(event, value, 1, 1)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise _invalid(f"{_at(event)}: there is no anchor {event.anchor[:80]!r}")
        known = self._anchors[event.anchor]
        if known is None:
            raise _invalid("an alias refers to a value that contains it")
        value, size, height = known
        self._count(event, size, height)
        self._add(event, value, size, height)

    def _start(self, event: Any) -> None:
        self._count(event, 1, 1)
        if self._awaits_key():
            raise _invalid(f"{_at(event)}: a key must be text")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open([] if isinstance(event, SequenceStartEvent) else {}, event.anchor))

    def _end(self) -> None:
        ended = self._stack.pop()
        height = ended.height + 1
        if ended.anchor is not None:
            self._anchors[ended.anchor] = (ended.value, ended.size, height)
        self._add(None, ended.value, ended.size, height)

    def _add(self, event: Any, value: Any, size: int, height: int) -> None:
        if not self._stack:
            self._found.append(value)
            return
        top = self._stack[-1]
        top.size += size
        top.height = max(top.height, height)
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            if not isinstance(value, str):
                raise _invalid(f"{_at(event)}: a key must be text")
            if value in top.value:
                raise _invalid(f"{_at(event)}: the key {value[:80]!r} stands twice")
            top.key = value
        else:
            top.value[top.key] = value
            top.key = None

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _count(self, event: Any, size: int, height: int) -> None:
        self._nodes += size
        if self._nodes > self._max_values:
            text = f"{_at(event)}: with its aliases expanded it has more than {self._max_values} values"
            raise TooManyValuesError(_invalid(text).problems)
        if len(self._stack) + height > MAX_DEPTH:
            raise _invalid(f"{_at(event)}: it is nested deeper than {MAX_DEPTH} levels")


def _scalar(event: Any, tag: str, text: str) -> JsonValue:
    if tag == "tag:yaml.org,2002:null":
        return None
    if tag == "tag:yaml.org,2002:bool":
        return text.lower() == "true"
    if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and len(text) > MAX_DIGITS:
        raise _invalid(f"{_at(event)}: a number with {len(text)} digits")
    if tag == "tag:yaml.org,2002:int":
        return int(text)
    if tag == "tag:yaml.org,2002:float":
        try:
            value = float(text)
        except ValueError:
            return text
        if not math.isfinite(value):
            raise _invalid(f"{_at(event)}: {text[:40]} is no finite number")
        return plain_number(value)
    if tag in ("tag:yaml.org,2002:str", "!"):
        return text
    raise _invalid(f"{_at(event)}: the tag {tag[:80]!r} is not allowed")


def _at(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def _invalid(message: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"unknown template format: {message}")])
