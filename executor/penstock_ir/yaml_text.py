"""Parses untrusted YAML and JSON text.

Invariants: the result has JSON types only (dates and other types of YAML 1.1 stay text); depth and the number of nodes
after alias expansion are checked before any value is built, so a YAML bomb costs no more than its text; duplicate keys
are refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from penstock_ir.errors import InvalidSpecError, Problem
from penstock_ir.json_text import plain_number
from penstock_ir.model import JsonValue

MAX_NODES = 3_000_000
MAX_DEPTH = 200
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


def documents(text: str) -> list[JsonValue]:
    """All documents in a text, empty ones left out. Raises InvalidSpecError."""
    values: list[JsonValue] = []
    loader = _JsonLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _check(node)
            value = _build(node)
            if value is not None:
                values.append(value)
    except yaml.YAMLError as error:
        raise _invalid(_where(error)) from error
    except RecursionError as error:
        raise _invalid(f"the document is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise _invalid(str(error)) from error
    finally:
        loader.dispose()
    return values


def to_yaml(value: JsonValue) -> str:
    """JSON as YAML text that `documents` reads back as it was; keys keep their order."""
    text: str = yaml.dump(value, Dumper=_JsonDumper, sort_keys=False, allow_unicode=True, width=2**20)
    return text


def _check(root: Node) -> None:
    """Checks the size and depth of the document with all aliases expanded, visiting every node once."""
    sizes: dict[int, int] = {}
    heights: dict[int, int] = {}
    stack: list[tuple[Node, bool]] = [(root, False)]
    open_nodes: set[int] = set()
    while stack:
        node, children_done = stack.pop()
        key = id(node)
        children = _children(node)
        if children_done:
            open_nodes.discard(key)
            sizes[key] = 1 + sum(sizes[id(child)] for child in children)
            heights[key] = 1 + max((heights[id(child)] for child in children), default=0)
            if sizes[key] > MAX_NODES:
                raise _invalid(f"with its aliases expanded it has more than {MAX_NODES} values")
            if heights[key] > MAX_DEPTH:
                raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")
            continue
        if key in sizes:
            continue
        if key in open_nodes:
            raise _invalid("an alias refers to a value that contains it")
        open_nodes.add(key)
        stack.append((node, True))
        for child in children:
            if id(child) in open_nodes:
                raise _invalid("an alias refers to a value that contains it")
            if id(child) not in sizes:
                stack.append((child, False))


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, SequenceNode):
        return list(node.value)
    return []


def _build(node: Node) -> JsonValue:
    if isinstance(node, SequenceNode):
        return [_build(child) for child in node.value]
    if isinstance(node, MappingNode):
        result: dict[str, JsonValue] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise _invalid(f"{_at(key_node)}: a key must be text")
            key = str(key_node.value)
            if key in result:
                raise _invalid(f"{_at(key_node)}: the key {key[:80]!r} stands twice")
            result[key] = _build(value_node)
        return result
    assert isinstance(node, ScalarNode)
    return _scalar(node)


def _scalar(node: ScalarNode) -> JsonValue:
    text = str(node.value)
    tag = node.tag
    if tag == "tag:yaml.org,2002:null":
        return None
    if tag == "tag:yaml.org,2002:bool":
        return text.lower() == "true"
    if tag == "tag:yaml.org,2002:int":
        if len(text) > 400:
            raise _invalid(f"{_at(node)}: a number with {len(text)} digits")
        return int(text)
    if tag == "tag:yaml.org,2002:float":
        try:
            value = float(text)
        except ValueError:
            return text
        if not math.isfinite(value):
            raise _invalid(f"{_at(node)}: {text[:40]} is no finite number")
        return plain_number(value)
    if tag in ("tag:yaml.org,2002:str", "!"):
        return text
    raise _invalid(f"{_at(node)}: the tag {tag[:80]!r} is not allowed")


def _at(node: Node) -> str:
    mark = node.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def _invalid(message: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"unknown template format: {message}")])
