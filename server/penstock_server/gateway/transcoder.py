"""Transcodes HTTP requests to RPC requests and replies back, by google.api.http annotations (api.md §2.1).

Invariants: pure; routes are compiled once from descriptors. Bodies are strict (an error names an unknown key), query
strings are lenient (unknown names are ignored, empty values mean unset). Replies are protojson with proto names and
without defaults, and without the fields that Penstock adds to upstream's messages unless the request wants them: some
clients fail on unknown names.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from penstock.whole_numbers import parse_dict
from penstock_ir.descriptors import is_repeated
from penstock_ir.json_text import MAX_DEPTH, MAX_VALUES, has_too_many_values, path_to_deep_value

from penstock_server.gateway.protojson import to_dict
from penstock_server.services.documents import SMALL_BYTES, SMALL_VALUES
from penstock_server.workers.elsewhere import Elsewhere

# The depth of a value or document, and of the fields around it.
_MAX_DEPTH = MAX_DEPTH + 4
_FIRST_PENSTOCK_FIELD = 1000
_VARIABLE = re.compile(r"\{([\w.]+)\}")
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: 32,
    FieldDescriptor.CPPTYPE_INT64: 64,
    FieldDescriptor.CPPTYPE_UINT32: 32,
    FieldDescriptor.CPPTYPE_UINT64: 64,
}


class BadRequestError(Exception):
    """The HTTP request is no valid call of the method; the text names the field."""


@dataclass(frozen=True, slots=True)
class Route:
    """One annotated method. `path` such as `/apis/v2beta1/runs/{run_id}:archive`; `body` is "", "*" or a field."""

    verb: str
    path: str
    pattern: re.Pattern[str]
    variables: tuple[str, ...]
    body: str
    rpc: str
    request: type[Message]
    reply: type[Message]

    def build(self, values: Sequence[str], query: Iterable[tuple[str, str]], content: bytes) -> Message:
        """The request message. Raises BadRequestError."""
        return _build(self.request, self.body, dict(zip(self.variables, values, strict=True)), query, content)

    def built_elsewhere(
        self, elsewhere: Elsewhere, values: Sequence[str], query: Iterable[tuple[str, str]], content: bytes
    ) -> bytes:
        """As `build` by another process, encoded. Raises BadRequestError, and what `elsewhere` raises."""
        task = {
            "module": self.request.__module__,
            "message": self.request.__qualname__,
            "body": self.body,
            "variables": dict(zip(self.variables, values, strict=True)),
            "query": list(query),
        }
        reply, message = elsewhere.call(f"{__name__}:build", task, content)
        if "refused" in reply:
            raise BadRequestError(reply["refused"])
        return message


def is_small(content: bytes) -> bool:
    """Whether making the message of a body takes only moments."""
    return len(content) <= SMALL_BYTES and not has_too_many_values(content, SMALL_VALUES)


def build(values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """The task of another process: the parts of a request in, what `Route.built_elsewhere` reads out."""
    request = getattr(importlib.import_module(values["module"]), values["message"])
    try:
        message = _build(request, values["body"], values["variables"], values["query"], content)
    except BadRequestError as error:
        return {"refused": str(error)}, b""
    return {}, message.SerializeToString()


def _build(
    request: type[Message],
    body: str,
    variables: Mapping[str, str],
    query: Iterable[Sequence[str]],
    content: bytes,
) -> Message:
    message = request()
    if body == "*":
        parse_json(content, message)
    elif body:
        parse_json(content, getattr(message, body), body)
        getattr(message, body).SetInParent()
    if body != "*":
        fill_query(message, query, body)
    for name, value in variables.items():
        _set_text(message, name, unquote(value))
    return message


class RouteTable:
    """Finds the route of a path and verb.

    Raises ValueError for an annotation that names no field of the RPC's request.
    """

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self.routes = tuple(route for service in services for route in _routes_of(service))

    def find(self, verb: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """The route and the values of its variables, still percent-encoded; None when there is none."""
        for route in self.routes:
            if route.verb == verb:
                match = route.pattern.fullmatch(path)
                if match:
                    return route, match.groups()
        return None

    def verbs(self, path: str) -> set[str]:
        """The verbs of the routes that match a path."""
        return {route.verb for route in self.routes if route.pattern.fullmatch(path)}


def to_json(message: Message) -> bytes:
    """The message as protojson text."""
    return json.dumps(to_dict(message), separators=(",", ":"), ensure_ascii=False).encode()


def clear_penstock_fields(message: Any) -> None:
    """Clears the fields that Penstock adds to upstream's messages, which have numbers from 1000 on."""
    for field, value in message.ListFields():
        if is_penstock_field(field):
            message.ClearField(field.name)
        elif field.message_type is not None and _has_penstock_fields(field.message_type):
            for nested in value if is_repeated(field) else (value,):
                clear_penstock_fields(nested)


def is_penstock_field(field: FieldDescriptor) -> bool:
    """Whether Penstock added it to a message of upstream's."""
    return field.number >= _FIRST_PENSTOCK_FIELD


@cache
def _has_penstock_fields(kind: Descriptor) -> bool:
    """Whether the message has such fields itself; they are nested no deeper than in a list of a reply."""
    return any(map(is_penstock_field, kind.fields))


def parse_json(content: bytes, message: Message, place: str = "") -> None:
    """Strict protojson into a message. Raises BadRequestError."""
    prefix = f"{place}: " if place else ""
    if not content.strip():
        return
    if has_too_many_values(content):
        raise BadRequestError(f"{prefix}the body has more than {MAX_VALUES} values")
    try:
        document = json.loads(content, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{prefix}the body is no UTF-8 text") from error
    except RecursionError as error:
        raise BadRequestError(f"{prefix}the body is nested too deeply") from error
    except ValueError as error:
        raise BadRequestError(f"{prefix}the body is no valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequestError(f"{prefix}the body must be a JSON object")
    deep_path = path_to_deep_value(document, _MAX_DEPTH)
    if deep_path:
        raise BadRequestError(f"{prefix}{deep_path}: the body is nested deeper than {_MAX_DEPTH} levels")
    try:
        parse_dict(document, message)
    except json_format.ParseError as error:
        raise BadRequestError(f"{prefix}{str(error)[:500]}") from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadRequestError(f"{prefix}a value has the wrong kind: {str(error)[:300]}") from error


def _routes_of(service: ServiceDescriptor) -> list[Route]:
    routes = []
    for method in service.methods:
        if not method.GetOptions().HasExtension(annotations_pb2.http):
            continue
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        routes.append(_route(method, verb.upper(), getattr(rule, verb), rule.body))
    return routes


def _route(method: MethodDescriptor, verb: str, path: str, body: str) -> Route:
    pattern = ""
    end = 0
    for match in _VARIABLE.finditer(path):
        pattern += re.escape(path[end : match.start()]) + r"([^/:]+)"
        end = match.end()
    pattern += re.escape(path[end:])
    rpc = f"/{method.containing_service.full_name}/{method.name}"
    for name in (*_VARIABLE.findall(path), body):
        if name not in ("", "*") and not _names_a_field(method.input_type, name):
            raise ValueError(f"{rpc}: its route {path} names {name!r}, which is no field of {method.input_type.name}")
    return Route(
        verb=verb,
        path=path,
        pattern=re.compile(pattern),
        variables=tuple(_VARIABLE.findall(path)),
        body=body,
        rpc=rpc,
        request=message_factory.GetMessageClass(method.input_type),
        reply=message_factory.GetMessageClass(method.output_type),
    )


def _names_a_field(message: Descriptor | None, path: str) -> bool:
    for name in path.split("."):
        if message is None or name not in message.fields_by_name:
            return False
        message = message.fields_by_name[name].message_type
    return True


def fill_query(message: Message, query: Iterable[Sequence[str]], body: str = "") -> None:
    """Sets what a query string names, but nothing in `body`. Raises BadRequestError."""
    for name, value in query:
        target, field = _resolve_field(message, name.split("."), body)
        if value == "" or field is None or field.message_type is not None:
            continue
        if is_repeated(field):
            getattr(target, field.name).append(_scalar(field, value))
        else:
            setattr(target, field.name, _scalar(field, value))


def _resolve_field(message: Message, path: list[str], body: str) -> tuple[Message, FieldDescriptor | None]:
    """The field that a path such as `resource_key.id` names, and its message; None if it cannot be set by a query."""
    for depth, name in enumerate(path):
        field = _field(message.DESCRIPTOR, name)
        if field is None or (depth == 0 and field.name == body):
            return message, None
        if depth == len(path) - 1:
            return message, field
        if field.message_type is None or is_repeated(field):
            return message, None
        message = getattr(message, field.name)
    return message, None


def _field(descriptor: Any, name: str) -> FieldDescriptor | None:
    return descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)


def _scalar(field: FieldDescriptor, text: str) -> Any:
    kind = field.cpp_type
    try:
        if kind in _INTEGERS:
            number = int(text)
            bits = _INTEGERS[kind]
            if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
                raise ValueError(text)
            return number
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return _BOOLEANS[text.lower()]
        if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            value = float(text)
            if not math.isfinite(value):
                raise ValueError(text)
            return value
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            kinds: Any = field.enum_type
            enum_value = kinds.values_by_name.get(text)
            return enum_value.number if enum_value else kinds.values_by_number[int(text)].number
    except (ValueError, KeyError) as error:
        raise BadRequestError(f"{field.name}: {text[:80]!r} cannot be read") from error
    if "\0" in text:
        raise BadRequestError(f"{field.name}: it holds a NUL character")
    return text


_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def _set_text(message: Message, dotted: str, value: str) -> None:
    """Sets a field to a variable of the path, which overrides the body."""
    *parents, name = dotted.split(".")
    for parent in parents:
        message = getattr(message, parent)
    if "\0" in value:
        raise BadRequestError(f"{dotted}: it holds a NUL character")
    setattr(message, name, value)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {duplicate[:80]!r} stands twice")
    return document


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
