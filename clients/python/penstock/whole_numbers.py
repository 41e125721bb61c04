"""JSON in messages without loss: whole numbers that the doubles of google.protobuf.Value cannot hold keep their digits.

How: `penstock.v1.WholeNumber` is merged into the Value as an unknown field. Invariants: a message differs from what
`json_format` makes of a document only where a number does not fit; digits count only beside the double next to them, so
that whoever reads the double and whoever reads the digits never have different numbers in mind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import DecodeError, Message
from penstock_api.v1 import whole_number_pb2

_EXACT = 2**53
# From here on JSON writers turn to exponents.
_EXPONENT = 10**21
_LISTS = ("google.protobuf.Value", "google.protobuf.ListValue")
_DIGITS = re.compile(rb"-?[0-9]{1,400}")


def parse_dict(document: Mapping[str, Any], message: Message) -> None:
    """As `json_format.ParseDict`, which see for the errors; numbers keep their digits."""
    json_format.ParseDict(dict(document), message)
    if _needs_digits(document):
        _keep_digits(document, message)


def to_dict(message: Message) -> Any:
    """As `json_format.MessageToDict` with the names of the protos; numbers keep their digits, maps are in order."""
    return _written(json_format.MessageToDict(message, preserving_proto_field_name=True), message)


def whole_number(value: struct_pb2.Value) -> int | None:
    """The number of a Value that is one and has digits of its own, else None."""
    nearest = value.number_value
    if abs(nearest) < _EXACT:
        return None
    try:
        digits = whole_number_pb2.WholeNumber.FromString(value.SerializeToString()).digits
        exact = int(digits) if _DIGITS.fullmatch(digits) else None
        return exact if exact is not None and float(exact) == nearest else None
    except (DecodeError, OverflowError):
        return None


def _needs_digits(document: Any) -> bool:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif _is_beyond(value):
            return True
    return False


def _is_beyond(value: Any) -> bool:
    """Whether the double alone would be read as another number, or as a fraction."""
    return isinstance(value, int) and abs(value) > _EXACT and (abs(value) >= _EXPONENT or int(float(value)) != value)


def _keep_digits(document: Any, message: Any) -> None:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Value":
        if isinstance(document, Mapping):
            _keep_digits(document, message.struct_value)
        elif isinstance(document, list):
            _keep_digits(document, message.list_value)
        elif _is_beyond(document):
            message.MergeFromString(whole_number_pb2.WholeNumber(digits=b"%d" % document).SerializeToString())
    elif kind == "google.protobuf.ListValue" and isinstance(document, list):
        for value, inside in zip(document, message.values, strict=True):
            _keep_digits(value, inside)
    elif not isinstance(document, Mapping):
        return
    elif kind == "google.protobuf.Struct":
        for key, value in document.items():
            _keep_digits(value, message.fields[key])
    else:
        _keep_digits_of_fields(document, message)


def _keep_digits_of_fields(document: Mapping[str, Any], message: Any) -> None:
    fields = message.DESCRIPTOR.fields
    known = {**{field.json_name: field for field in fields}, **{field.name: field for field in fields}}
    for name, value in document.items():
        kind: Any = known[name].message_type if name in known else None
        if kind is None or not isinstance(value, (Mapping, list, int)):
            continue
        inside = getattr(message, known[name].name)
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None and isinstance(value, Mapping):
                for key, one in value.items():
                    _keep_digits(one, inside[key])
        elif isinstance(value, list) and kind.full_name not in _LISTS:
            for one, other in zip(value, inside, strict=True):
                _keep_digits(one, other)
        else:
            _keep_digits(value, inside)


def _written(document: Any, message: Any) -> Any:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Struct":
        return {key: _written(document[key], message.fields[key]) for key in sorted(document)}
    if kind == "google.protobuf.ListValue":
        return [_written(one, inside) for one, inside in zip(document, message.values, strict=True)]
    if kind == "google.protobuf.Value":
        if isinstance(document, dict):
            return _written(document, message.struct_value)
        if isinstance(document, list):
            return _written(document, message.list_value)
        if isinstance(document, float):
            exact = whole_number(message)
            whole = document.is_integer() and abs(document) < _EXPONENT
            return exact if exact is not None else int(document) if whole else document
        return document
    if not isinstance(document, dict) or kind.startswith("google.protobuf."):
        return document
    return {name: _field_written(one, getattr(message, name), message, name) for name, one in document.items()}


def _field_written(document: Any, value: Any, message: Any, name: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name[name]
    kind = field.message_type
    if kind is None:
        return document
    if kind.GetOptions().map_entry:
        inside = kind.fields_by_name["value"].message_type
        keys = sorted(document)
        return {key: document[key] if inside is None else _written(document[key], value[key]) for key in keys}
    if isinstance(document, list) and kind.full_name not in _LISTS:
        return [_written(one, other) for one, other in zip(document, value, strict=True)]
    return _written(document, value)
